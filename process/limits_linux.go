package process

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/throng-gg/throng"
)

// limits makes a cage for each game server below a folder of our own in each
// control group hierarchy that has a part of what was asked for.
type limits struct {
	roots []root
}

// version of control groups. In the unified one a process is born inside.
type version uint8

const (
	legacy  version = 1
	unified version = 2
)

// root is our folder in one hierarchy.
type root struct {
	dir      string
	version  version
	settings []setting
	ooms     string // file with a line "oom_kill N"; empty: not of memory
}

// setting is a file of a control group and what is written to it.
type setting struct {
	file, value string
	optional    bool // not every kernel has it
}

// Controllers, and how each version of control groups limits with them.
const (
	memoryController = "memory"
	cpuController    = "cpu"

	cpuPeriod = 100_000 // µs
)

func memorySettings(bytes int64, v version) []setting {
	limit := strconv.FormatInt(bytes, 10)
	if v == unified {
		return []setting{{"memory.max", limit, false}, {"memory.swap.max", "0", true}, {"memory.oom.group", "1", true}}
	}
	// memory and swap together, which may not be less than memory
	return []setting{{"memory.limit_in_bytes", limit, false}, {"memory.memsw.limit_in_bytes", limit, true}}
}

func cpuSettings(cpus float64, v version) []setting {
	quota := strconv.Itoa(max(int(cpus*cpuPeriod), 1000)) // the kernel's least
	period := strconv.Itoa(cpuPeriod)
	if v == unified {
		return []setting{{"cpu.max", quota + " " + period, false}}
	}
	return []setting{{"cpu.cfs_period_us", period, false}, {"cpu.cfs_quota_us", quota, false}}
}

// groupWeight is what all game servers together count for as one group, beside other
// processes of the machine: ten of these. Without it they all have one's share of a
// processor that is wanted by others, however many they are.
const groupWeight = 10

func weightSetting(v version) setting {
	if v == unified {
		return setting{"cpu.weight", strconv.Itoa(100 * groupWeight), true}
	}
	return setting{"cpu.shares", strconv.Itoa(1024 * groupWeight), true}
}

// newLimits tries what works here, once. What does not is logged in one line.
func newLimits(log *slog.Logger, memory int64, cpus float64) *limits {
	l := &limits{}
	if memory == 0 && cpus == 0 {
		return l
	}
	groups, err := ownGroups("/proc/self")
	if err != nil {
		log.Warn(noLimits, "reason", err.Error())
		return l
	}
	l.roots, err = groups.roots(memory, cpus)
	if err != nil {
		log.Warn(noLimits, "reason", strings.ReplaceAll(err.Error(), "\n", "; "))
	}
	return l
}

// roots finds a place for each limit that is asked for, version 2 first. The
// error says which limits have none, and why.
func (g groups) roots(memory int64, cpus float64) ([]root, error) {
	wanted := map[string]func(version) []setting{}
	if memory > 0 {
		wanted[memoryController] = func(v version) []setting { return memorySettings(memory, v) }
	}
	if cpus > 0 {
		wanted[cpuController] = func(v version) []setting { return cpuSettings(cpus, v) }
	}
	var found []root
	var missing []error
	for _, controller := range []string{memoryController, cpuController} {
		settings, ok := wanted[controller]
		if !ok {
			continue
		}
		r, err := g.root(controller, settings)
		if err != nil {
			missing = append(missing, fmt.Errorf("no %s limit: %w", controller, err))
			continue
		}
		found = merge(found, r)
	}
	return found, errors.Join(missing...)
}

// merge keeps one root a folder.
func merge(roots []root, r root) []root {
	for i := range roots {
		if roots[i].dir == r.dir {
			roots[i].settings = append(roots[i].settings, r.settings...)
			if r.ooms != "" {
				roots[i].ooms = r.ooms
			}
			return roots
		}
	}
	return append(roots, r)
}

// root prepares our folder in the hierarchy that has a controller, and tries it.
func (g groups) root(controller string, settings func(version) []setting) (root, error) {
	r := root{settings: settings(unified), version: unified}
	parent, err := g.unifiedWith(controller)
	if err != nil {
		dir, ok := g.legacy[controller]
		if !ok {
			return root{}, err
		}
		r, parent = root{settings: settings(legacy), version: legacy}, dir
	}
	if controller == memoryController {
		r.ooms = "memory.oom_control"
		if r.version == unified {
			r.ooms = "memory.events"
		}
	}
	sweepGroups(parent)
	r.dir = filepath.Join(parent, groupPrefix+strconv.Itoa(os.Getpid()))
	if err := r.try(controller); err != nil {
		return root{}, plainError(err)
	}
	return r, nil
}

// try makes our folder and one like a server's in it.
func (r root) try(controller string) error {
	if err := makeDir(r.dir); err != nil {
		return err
	}
	if r.version == unified {
		if err := write(filepath.Join(r.dir, "cgroup.subtree_control"), "+"+controller); err != nil {
			return err
		}
	}
	if controller == cpuController {
		w := weightSetting(r.version)
		_ = write(filepath.Join(r.dir, w.file), w.value) // optional
	}
	probe := filepath.Join(r.dir, "probe")
	return errors.Join(r.fill(probe), removeDir(probe))
}

// fill makes one server's folder with its limits.
func (r root) fill(dir string) error {
	if err := makeDir(dir); err != nil {
		return err
	}
	for _, s := range r.settings {
		if err := write(filepath.Join(dir, s.file), s.value); err != nil && !s.optional {
			return err
		}
	}
	return nil
}

// open makes the limits of one server. Limits that worked at the start and do
// not any more are an error: a server is not run without them. Nil: there are
// none on this machine.
func (l *limits) open(id throng.ServerID) (*cage, error) {
	c := &cage{}
	for _, r := range l.roots {
		dir := filepath.Join(r.dir, string(id))
		c.groups = append(c.groups, group{Dir: dir, Version: r.version, OOMs: r.ooms})
		if err := r.fill(dir); err != nil {
			return nil, errors.Join(err, c.remove())
		}
		if r.version == unified {
			var err error
			if c.door, err = os.Open(dir); err != nil {
				return nil, errors.Join(err, c.remove())
			}
		}
	}
	return c, nil
}

// close removes our own folders; one with a server that is still there stays.
func (l *limits) close() {
	for _, r := range l.roots {
		_ = removeDir(r.dir) // the next start sweeps it
	}
}

// cage is the limits of one server. A nil cage has none.
type cage struct {
	groups []group
	door   *os.File // version 2's folder, until the process is in it
}

// group is one of a cage's folders, as it is remembered.
type group struct {
	Dir     string  `json:"dir"`
	Version version `json:"version"`
	OOMs    string  `json:"ooms,omitempty"`
}

// birthplace is the folder in which the process is born.
func (c *cage) birthplace() (fd int, ok bool) {
	if c == nil || c.door == nil {
		return 0, false
	}
	return int(c.door.Fd()), true
}

// enter puts a process that was born outside in.
func (c *cage) enter(pid int) error {
	if c == nil {
		return nil
	}
	if c.door != nil {
		_ = c.door.Close() // nothing was written to it
		c.door = nil
	}
	for _, g := range c.groups {
		if g.Version == legacy {
			if err := write(filepath.Join(g.Dir, "cgroup.procs"), strconv.Itoa(pid)); err != nil {
				return err
			}
		}
	}
	return nil
}

// outOfMemory says whether the kernel killed a process of the cage for memory.
func (c *cage) outOfMemory() bool {
	if c == nil {
		return false
	}
	for _, g := range c.groups {
		if g.OOMs == "" {
			continue
		}
		content, err := os.ReadFile(filepath.Join(g.Dir, g.OOMs))
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(content)) {
			if n, ok := strings.CutPrefix(strings.TrimSpace(line), "oom_kill "); ok && n != "0" {
				return true
			}
		}
	}
	return false
}

// remove takes the limits away, and kills what the server left in them. It
// fails as long as a process is there; it may be repeated.
func (c *cage) remove() error {
	if c == nil {
		return nil
	}
	if c.door != nil {
		_ = c.door.Close() // nothing was written to it
		c.door = nil
	}
	var failed []error
	for _, g := range c.groups {
		err := removeDir(g.Dir)
		if errors.Is(err, syscall.EBUSY) {
			killAll(g.Dir)
		}
		failed = append(failed, err)
	}
	return errors.Join(failed...)
}

// killAll kills the processes of a group.
func killAll(dir string) {
	content, err := os.ReadFile(filepath.Join(dir, "cgroup.procs"))
	if err != nil {
		return
	}
	for field := range strings.FieldsSeq(string(content)) {
		if pid, err := strconv.Atoi(field); err == nil && pid > 1 {
			_ = syscall.Kill(pid, syscall.SIGKILL) // gone meanwhile: good
		}
	}
}

func makeDir(dir string) error {
	if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}

func removeDir(dir string) error {
	if err := syscall.Rmdir(dir); err != nil && !errors.Is(err, syscall.ENOENT) {
		return fmt.Errorf("remove %s: %w", dir, err)
	}
	return nil
}

// write changes a file of a control group. It never makes one.
func write(file, value string) error {
	f, err := os.OpenFile(file, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(value)
	return errors.Join(err, f.Close())
}

// plainError says what failed on what, in one line.
func plainError(err error) error {
	if path, ok := errors.AsType[*fs.PathError](err); ok {
		return fmt.Errorf("%s: %w", path.Path, path.Err)
	}
	return err
}
