package server

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/clewhq/clew/internal/domain"
)

// RunFile is what a running server leaves in its data folder for the commands
// of the same user: where it is, and a token that manages it, new at each start.
type RunFile struct {
	URL   string `json:"url"`
	Token string `json:"token"`
}

func runPath(dir string) string { return filepath.Join(dir, "run.json") }

// writeRunFile replaces the file of a server that was killed. Only its owner
// can read it.
func writeRunFile(dir string, r RunFile) error {
	b, err := json.Marshal(r)
	if err != nil {
		return err
	}
	tmp, err := os.CreateTemp(dir, ".run-*") // made for its owner alone
	if err != nil {
		return fmt.Errorf("write run.json: %w", err)
	}
	_, err = tmp.Write(append(b, '\n'))
	err = errors.Join(err, tmp.Close())
	if err == nil {
		err = os.Rename(tmp.Name(), runPath(dir))
	}
	if err != nil {
		return errors.Join(fmt.Errorf("write run.json: %w", err), os.Remove(tmp.Name()))
	}
	return nil
}

func removeRunFile(dir string) error {
	if err := os.Remove(runPath(dir)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// ReadRunFile reads what a running server left; domain.NotFound where none
// runs on the folder, or runs as somebody whose files this user can't read.
func ReadRunFile(dir string) (RunFile, error) {
	b, err := os.ReadFile(runPath(dir))
	if err != nil {
		return RunFile{}, &domain.Error{Code: domain.NotFound, Msg: "no server runs on " + dir, Err: err}
	}
	var r RunFile
	if err := json.Unmarshal(b, &r); err != nil {
		return RunFile{}, fmt.Errorf("%s: %w", runPath(dir), err)
	}
	return r, nil
}
