package lab

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// groupsRoot is where the kernel's control groups are: one tree, or, in version 1,
// one for each controller.
const groupsRoot = "/sys/fs/cgroup"

// trees are the roots of the control groups.
func trees() []string {
	if _, err := os.Stat(filepath.Join(groupsRoot, "cgroup.controllers")); err == nil {
		return []string{groupsRoot}
	}
	found, _ := filepath.Glob(filepath.Join(groupsRoot, "*")) // the pattern is good
	return slices.DeleteFunc(found, func(tree string) bool {
		_, err := os.Stat(filepath.Join(tree, "cgroup.procs"))
		return err != nil
	})
}

// makeGroups makes a control group in every tree.
func makeGroups(name string) error {
	for _, tree := range trees() {
		if err := os.MkdirAll(filepath.Join(tree, name), 0o755); err != nil { //nolint:gosec // as all of them are
			return fmt.Errorf("make control groups: %w", err)
		}
	}
	return nil
}

// removeGroups removes a control group and those below it, from every tree.
// Nothing runs in them any more.
func removeGroups(name string) {
	for _, tree := range trees() {
		var dirs []string
		_ = filepath.WalkDir(filepath.Join(tree, name), func(path string, d fs.DirEntry, err error) error {
			if err != nil {
				return fs.SkipDir // it is gone
			}
			if d.IsDir() {
				dirs = append(dirs, path)
			}
			return nil
		})
		for _, dir := range slices.Backward(dirs) {
			_ = os.Remove(dir) // the next sweep tries again
		}
	}
}
