package catalog

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/clewhq/clew/internal/domain"
)

// SecretKey encrypts what the server has to know again in the clear, such as
// the keys of model providers, with AES-256-GCM. What is encrypted for one
// place can't be read at another. The zero value encrypts nothing.
type SecretKey struct{ aead cipher.AEAD }

// ParseSecretKey reads a key of 64 hexadecimal digits, as `openssl rand -hex 32`
// makes them.
func ParseSecretKey(text string) (SecretKey, error) {
	raw, err := hex.DecodeString(strings.TrimSpace(text))
	if err != nil || len(raw) != 32 {
		return SecretKey{}, domain.Errorf(domain.Invalid, "an encryption key has 64 hexadecimal digits")
	}
	block, err := aes.NewCipher(raw)
	if err != nil {
		return SecretKey{}, err
	}
	aead, err := cipher.NewGCM(block)
	return SecretKey{aead}, err
}

// OpenSecretKey reads the key in a file that only its owner can read, and makes
// a random one where there is no such file.
func OpenSecretKey(path string) (SecretKey, error) {
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		b, err = newKeyFile(path)
	}
	if err != nil {
		return SecretKey{}, fmt.Errorf("encryption key: %w", err)
	}
	k, err := ParseSecretKey(string(b))
	if err != nil {
		return k, fmt.Errorf("%s: %w", path, err)
	}
	return k, nil
}

// newKeyFile writes a random key so that the file is whole or not there.
func newKeyFile(path string) ([]byte, error) {
	raw := make([]byte, 32)
	_, _ = rand.Read(raw) // never fails
	text := []byte(hex.EncodeToString(raw) + "\n")
	tmp, err := os.CreateTemp(filepath.Dir(path), ".key-*") // made for its owner alone
	if err != nil {
		return nil, err
	}
	_, err = tmp.Write(text)
	err = errors.Join(err, tmp.Sync(), tmp.Close())
	if err == nil {
		err = os.Rename(tmp.Name(), path)
	}
	if err != nil {
		return nil, errors.Join(err, os.Remove(tmp.Name()))
	}
	// Without its name on disk a key would be lost that secrets hang on. Not every
	// file system can sync a folder; those that cannot need not.
	if dir, err := os.Open(filepath.Dir(path)); err == nil {
		_ = dir.Sync()
		_ = dir.Close()
	}
	return text, nil
}

// encrypt hides a text that belongs to a place.
func (k SecretKey) encrypt(place, text string) ([]byte, error) {
	if k.aead == nil {
		return nil, domain.Errorf(domain.Unavailable, "there is no key to encrypt secrets with")
	}
	nonce := make([]byte, k.aead.NonceSize())
	_, _ = rand.Read(nonce) // never fails
	return k.aead.Seal(nonce, nonce, []byte(text), []byte(place)), nil
}

// decrypt reads what encrypt hid for that place.
func (k SecretKey) decrypt(place string, hidden []byte) (string, error) {
	if k.aead == nil {
		return "", domain.Errorf(domain.Unavailable, "there is no key to decrypt secrets with")
	}
	n := k.aead.NonceSize()
	if len(hidden) < n {
		return "", domain.Errorf(domain.Conflict, "a secret is damaged: set it again")
	}
	text, err := k.aead.Open(nil, hidden[:n], hidden[n:], []byte(place))
	if err != nil {
		return "", domain.Errorf(domain.Conflict, "a secret was encrypted with another key than this server has: set it again")
	}
	return string(text), nil
}
