package process

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// groupPrefix starts the name of our folder in a control group, our process
// number ends it.
const groupPrefix = "throng-"

// groups are the control groups that this process is in.
type groups struct {
	unified string            // version 2's folder; empty: there is none
	legacy  map[string]string // version 1's folders by controller
}

// ownGroups reads where this process is and where that is mounted. proc is
// /proc/self (cgroups(7), proc_pid_mountinfo(5)).
func ownGroups(proc string) (groups, error) {
	paths, err := os.ReadFile(filepath.Join(proc, "cgroup"))
	if err != nil {
		return groups{}, err
	}
	mounts, err := os.ReadFile(filepath.Join(proc, "mountinfo"))
	if err != nil {
		return groups{}, err
	}
	return parseGroups(string(paths), string(mounts)), nil
}

func parseGroups(paths, mounts string) groups {
	where := map[string]string{} // controller to path; version 2 has an empty controller
	for line := range strings.Lines(paths) {
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(parts) != 3 {
			continue
		}
		for controller := range strings.SplitSeq(parts[1], ",") {
			where[controller] = parts[2]
		}
	}
	g := groups{legacy: map[string]string{}}
	for line := range strings.Lines(mounts) {
		before, after, ok := strings.Cut(line, " - ")
		at, kind := strings.Fields(before), strings.Fields(after)
		if ok && len(at) >= 6 && len(kind) >= 3 {
			mount(&g, where, at, kind)
		}
	}
	return g
}

// mount takes what a line of mountinfo says: where, and of what kind.
func mount(g *groups, where map[string]string, at, kind []string) {
	switch kind[0] {
	case "cgroup2":
		if dir, ok := below(at, where, ""); ok {
			g.unified = dir
		}
	case "cgroup":
		for controller := range strings.SplitSeq(kind[2], ",") {
			if dir, ok := below(at, where, controller); ok {
				g.legacy[controller] = dir
			}
		}
	}
}

// below is the folder of a control group's path under a mount, which may show
// only a part of the hierarchy.
func below(at []string, where map[string]string, controller string) (string, bool) {
	mountRoot, mountPoint := at[3], at[4]
	path, ok := where[controller]
	if !ok {
		return "", false
	}
	if mountRoot != "/" {
		if path, ok = strings.CutPrefix(path, mountRoot); !ok {
			return "", false
		}
	}
	return filepath.Join(strings.ReplaceAll(mountPoint, `\040`, " "), path), true
}

// unifiedWith returns version 2's folder when folders below it can have a
// controller, and gives it to them if need be.
func (g groups) unifiedWith(controller string) (string, error) {
	if g.unified == "" {
		return "", errors.New("no control groups are mounted")
	}
	available, err := os.ReadFile(filepath.Join(g.unified, "cgroup.controllers"))
	if err != nil {
		return "", plainError(err)
	}
	if !slices.Contains(strings.Fields(string(available)), controller) {
		return "", fmt.Errorf("%s has no %s controller", g.unified, controller)
	}
	given := filepath.Join(g.unified, "cgroup.subtree_control")
	err = write(given, "+"+controller)
	if errors.Is(err, syscall.EBUSY) {
		// A group that gives controllers on must have no process of its own. If
		// we are its only one, it is ours to arrange, as with systemd's Delegate=.
		if err = g.moveAside(); err == nil {
			err = write(given, "+"+controller)
		}
	}
	if err != nil {
		return "", plainError(err)
	}
	return g.unified, nil
}

// moveAside puts this process into a group below its own, if it is alone there.
func (g groups) moveAside() error {
	pid := strconv.Itoa(os.Getpid())
	procs, err := os.ReadFile(filepath.Join(g.unified, "cgroup.procs"))
	if err != nil {
		return err
	}
	if strings.TrimSpace(string(procs)) != pid {
		return fmt.Errorf("%s has other processes, too; run throng in a control group of its own", g.unified)
	}
	aside := filepath.Join(g.unified, groupPrefix+pid+"-self")
	if err := makeDir(aside); err != nil {
		return err
	}
	return write(filepath.Join(aside, "cgroup.procs"), pid)
}

// sweepGroups removes what processes of ours that are gone left. Groups with a
// server that outlived them stay: the kernel refuses.
func sweepGroups(parent string) {
	left, err := filepath.Glob(filepath.Join(parent, groupPrefix+"[0-9]*"))
	if err != nil {
		return
	}
	for _, dir := range left {
		number, _, _ := strings.Cut(strings.TrimPrefix(filepath.Base(dir), groupPrefix), "-")
		pid, err := strconv.Atoi(number)
		if err != nil || !errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
			continue
		}
		servers, _ := filepath.Glob(filepath.Join(dir, "*", "cgroup.procs")) // the pattern is good
		for _, procs := range servers {
			_ = removeDir(filepath.Dir(procs)) // in use: it stays
		}
		_ = removeDir(dir)
	}
}
