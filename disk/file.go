package disk

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// writeFile makes name have the content, whole or not at all, durable when it
// returns. The folder must be there.
func writeFile(name string, content []byte, mode os.FileMode) (err error) {
	f, err := os.CreateTemp(filepath.Dir(name), filepath.Base(name)+".*"+tmpSuffix)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = f.Close()           // may be closed already
			_ = os.Remove(f.Name()) // swept at the next Open otherwise
		}
	}()
	if _, err := f.Write(content); err != nil {
		return err
	}
	if err := f.Chmod(mode); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), name); err != nil {
		return err
	}
	return syncDir(filepath.Dir(name))
}

// Replace makes a file have the content, whole or not at all, durable when it
// returns; who reads meanwhile gets the old one. Several processes may do it at
// once: the last one wins. The folder must be there.
func Replace(file string, content []byte, mode os.FileMode) error {
	return writeFile(file, content, mode)
}

// WriteNew writes a file that is not there yet, whole and durable; one that is
// there stays as it is. Several processes may do it at once: the first one wins.
// The folder must be there.
func WriteNew(file string, content []byte, mode os.FileMode) error {
	mine := file + "." + rand.Text() + tmpSuffix
	defer func() { _ = os.Remove(mine) }()
	if err := writeFile(mine, content, mode); err != nil {
		return err
	}
	if err := os.Link(mine, file); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return syncDir(filepath.Dir(file))
}

// syncDir makes the names in a folder durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	if err := errors.Join(d.Sync(), d.Close()); err != nil {
		return fmt.Errorf("sync folder: %w", err)
	}
	return nil
}
