package auth

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"strings"

	"golang.org/x/crypto/argon2"

	"github.com/clewhq/clew/internal/domain"
)

// The cost of a password's hash: OWASP's first choice for Argon2id. A hash says
// what it was made with, so these can rise.
const (
	argonMemory  = 19 << 10 // KiB
	argonTime    = 2
	argonThreads = 1
	argonSalt    = 16
	argonKey     = 32

	minPassword = 8
	maxPassword = 1000
)

// hashing bounds how many passwords are hashed at once, since each takes memory.
var hashing = make(chan struct{}, 2)

// HashPassword makes a password's Argon2id hash in PHC form. One of fewer than
// 8 or more than 1,000 bytes is domain.Invalid.
func HashPassword(password string) (string, error) {
	if n := len(password); n < minPassword || n > maxPassword {
		return "", &domain.Error{Code: domain.Invalid, Field: "password", Msg: fmt.Sprintf("the password must have %d to %d bytes", minPassword, maxPassword)}
	}
	salt := make([]byte, argonSalt)
	_, _ = rand.Read(salt) // never fails
	hashing <- struct{}{}
	key := argon2.IDKey([]byte(password), salt, argonTime, argonMemory, argonThreads, argonKey)
	<-hashing
	enc := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, argonMemory, argonTime, argonThreads,
		enc.EncodeToString(salt), enc.EncodeToString(key)), nil
}

// VerifyPassword reports whether a hash that HashPassword made is that of a
// password. A hash in another form is that of none.
func VerifyPassword(hash, password string) bool {
	parts := strings.Split(hash, "$")
	if len(parts) != 6 || parts[1] != "argon2id" || len(password) > maxPassword {
		return false
	}
	var version, memory, time uint32
	var threads uint8
	if _, err := fmt.Sscanf(parts[2]+" "+parts[3], "v=%d m=%d,t=%d,p=%d", &version, &memory, &time, &threads); err != nil {
		return false
	}
	if version != argon2.Version || memory > 1<<20 || time == 0 || time > 100 || threads == 0 {
		return false
	}
	enc := base64.RawStdEncoding
	salt, err1 := enc.DecodeString(parts[4])
	want, err2 := enc.DecodeString(parts[5])
	if err1 != nil || err2 != nil || len(want) == 0 {
		return false
	}
	hashing <- struct{}{}
	got := argon2.IDKey([]byte(password), salt, time, memory, threads, uint32(len(want)))
	<-hashing
	return subtle.ConstantTimeCompare(got, want) == 1
}
