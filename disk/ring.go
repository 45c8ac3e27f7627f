package disk

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/auth"
)

// regionSecret is the name of a region's first secret; the others have their
// number behind it: region, region.2, region.3.
const regionSecret = "region"

// Ring is the region's secrets in a data folder, or in a folder that something
// else fills, as a mounted Kubernetes Secret. It is auth.Secrets. Any number of
// processes may use it.
type Ring struct{ Dir string }

// Secrets is auth.Secrets. The first secret is made when there is none at all.
func (r Ring) Secrets() ([]auth.Secret, error) {
	numbers, err := r.numbers()
	if err == nil && len(numbers) == 0 {
		if _, err = Secret(r.Dir, regionSecret); err == nil {
			numbers, err = r.numbers()
		}
	}
	if err != nil {
		return nil, err
	}
	secrets := make([]auth.Secret, 0, len(numbers))
	for _, n := range numbers {
		s, err := r.read(n)
		if errors.Is(err, fs.ErrNotExist) {
			continue // taken out meanwhile
		}
		if err != nil {
			return nil, err
		}
		secrets = append(secrets, s)
	}
	return secrets, nil
}

func (r Ring) read(number int) (auth.Secret, error) {
	name := ringName(number)
	file := filepath.Join(r.Dir, "secrets", name)
	info, err := os.Stat(file)
	if err != nil {
		return auth.Secret{}, fmt.Errorf("secret %s of data folder %s: %w", name, r.Dir, err)
	}
	content, err := readSecret(r.Dir, name)
	if err != nil {
		return auth.Secret{}, err
	}
	return auth.Secret{Number: number, Bytes: [secretLength]byte(content), Since: info.ModTime()}, nil
}

func ringName(number int) string {
	if number == 1 {
		return regionSecret
	}
	return regionSecret + "." + strconv.Itoa(number)
}

// numbers lists the secrets that are there, sorted.
func (r Ring) numbers() ([]int, error) {
	entries, err := os.ReadDir(filepath.Join(r.Dir, "secrets"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("data folder %s: %w", r.Dir, plain(err))
	}
	var numbers []int
	for _, e := range entries {
		rest, ok := strings.CutPrefix(e.Name(), regionSecret)
		if !ok {
			continue
		}
		if rest == "" {
			numbers = append(numbers, 1)
			continue
		}
		if n, err := strconv.Atoi(strings.TrimPrefix(rest, ".")); err == nil && n > 1 && ringName(n) == e.Name() {
			numbers = append(numbers, n)
		}
	}
	slices.SortFunc(numbers, cmp.Compare)
	return numbers, nil
}

// Add makes a secret that is newer than all and returns its number. Full: there
// are auth.MaxSecrets.
func (r Ring) Add() (int, error) {
	numbers, err := r.numbers()
	if err != nil {
		return 0, err
	}
	if len(numbers) >= auth.MaxSecrets {
		return 0, throng.Errorf(throng.Full, "there are %d secrets already: retire one first", len(numbers))
	}
	next := 1
	if len(numbers) > 0 {
		next = numbers[len(numbers)-1] + 1
	}
	if _, err := Secret(r.Dir, ringName(next)); err != nil {
		return 0, err
	}
	return next, nil
}

// Remove takes a secret out for good. NotFound: there is none of that number.
// Conflict: it is the newest.
func (r Ring) Remove(number int) error {
	numbers, err := r.numbers()
	switch {
	case err != nil:
		return err
	case !slices.Contains(numbers, number):
		return throng.Errorf(throng.NotFound, "there is no secret %d in %s", number, r.Dir)
	case number == numbers[len(numbers)-1]:
		return throng.Errorf(throng.Conflict, "secret %d is the newest: rotate first", number)
	}
	file := filepath.Join(r.Dir, "secrets", ringName(number))
	if err := os.Remove(file); err != nil {
		return fmt.Errorf("data folder %s: %w", r.Dir, plain(err))
	}
	return syncDir(filepath.Dir(file))
}
