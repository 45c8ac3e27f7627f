package disk

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/throng-gg/throng"
)

const secretLength = 32

// Secret returns the 32 random bytes that a data folder keeps under a name, and
// makes them at first use. All callers get the same ones, also from processes
// that start at the same time; it needs no lock. name is a file name. Internal:
// the folder can't be used, or what is there is no secret.
func Secret(dir, name string) ([]byte, error) {
	if name == "" || name != filepath.Base(name) || name[0] == '.' {
		return nil, throng.Errorf(throng.Invalid, "secret %q: not a file name", name)
	}
	secret, err := readSecret(dir, name)
	if errors.Is(err, fs.ErrNotExist) {
		if err := makeSecret(filepath.Join(dir, "secrets", name)); err != nil {
			return nil, fmt.Errorf("secret %s of data folder %s: %w", name, dir, plain(err))
		}
		return readSecret(dir, name)
	}
	return secret, err
}

func readSecret(dir, name string) ([]byte, error) {
	secret, err := os.ReadFile(filepath.Join(dir, "secrets", name))
	if err != nil {
		return nil, fmt.Errorf("secret %s of data folder %s: %w", name, dir, plain(err))
	}
	if len(secret) != secretLength {
		return nil, throng.Errorf(throng.Internal, "secret %s of data folder %s is damaged: it has %d bytes, not %d", name, dir, len(secret), secretLength)
	}
	return secret, nil
}

// makeSecret writes a new secret, unless another process was first.
func makeSecret(file string) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return err
	}
	secret := make([]byte, secretLength)
	rand.Read(secret)
	return WriteNew(file, secret, 0o600)
}
