package process

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
)

func TestParseGroups(t *testing.T) {
	for name, c := range map[string]struct {
		paths, mounts string
		want          groups
	}{
		"version 1, a container's": {
			"4:memory:/docker/abc\n2:cpu,cpuacct:/docker/abc\n0::/\n",
			"30 25 0:26 /docker/abc /sys/fs/cgroup/memory ro,nosuid - cgroup cgroup rw,memory\n" +
				"31 25 0:27 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n",
			groups{legacy: map[string]string{
				"memory": "/sys/fs/cgroup/memory", "cpu": "/sys/fs/cgroup/cpu,cpuacct/docker/abc",
				"cpuacct": "/sys/fs/cgroup/cpu,cpuacct/docker/abc",
			}},
		},
		"version 2": {
			"0::/user.slice/throng.scope\n",
			"24 1 8:1 / / rw - ext4 /dev/sda1 rw\n35 24 0:30 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n",
			groups{unified: "/sys/fs/cgroup/user.slice/throng.scope", legacy: map[string]string{}},
		},
		"a part that is not ours": {
			"0::/other\n", "35 24 0:30 /mine /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n",
			groups{legacy: map[string]string{}},
		},
		"no control groups": {"", "24 1 8:1 / / rw - ext4 /dev/sda1 rw\nnonsense\n", groups{legacy: map[string]string{}}},
	} {
		if got := parseGroups(c.paths, c.mounts); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: got %+v, want %+v", name, got, c.want)
		}
	}
}

// fakeUnified is a folder that looks like version 2's, of a kernel that makes
// the files of a new group: those of our folder and of the probe are there.
func fakeUnified(t *testing.T, controllers string) string {
	t.Helper()
	dir := t.TempDir()
	mine := filepath.Join(dir, groupPrefix+strconv.Itoa(os.Getpid()))
	for folder, files := range map[string]string{
		dir:                           "cgroup.controllers cgroup.subtree_control",
		mine:                          "cgroup.subtree_control",
		filepath.Join(mine, "srv_1"):  "memory.max memory.oom.group cpu.max cgroup.procs memory.events",
		filepath.Join(dir, "another"): "memory.max",
	} {
		if err := os.MkdirAll(folder, 0o755); err != nil {
			t.Fatal(err)
		}
		for file := range strings.FieldsSeq(files) {
			content := ""
			if file == "cgroup.controllers" {
				content = controllers
			}
			if err := os.WriteFile(filepath.Join(folder, file), []byte(content), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	return dir
}

// What is written where in version 2; that the kernel obeys is for
// TestMemoryLimit on a machine that has it.
func TestUnifiedSettings(t *testing.T) {
	dir := fakeUnified(t, "cpu memory")
	mine := filepath.Join(dir, groupPrefix+strconv.Itoa(os.Getpid()))
	g := groups{unified: dir}
	for _, controller := range []string{memoryController, cpuController} {
		if parent, err := g.unifiedWith(controller); err != nil || parent != dir {
			t.Fatalf("%s: got %s, %v, want %s", controller, parent, err, dir)
		}
	}
	if _, err := g.unifiedWith("hugetlb"); err == nil || !strings.Contains(err.Error(), "has no hugetlb controller") {
		t.Errorf("a controller that is not there: got %v", err)
	}
	l := &limits{roots: merge(
		[]root{{dir: mine, version: unified, settings: memorySettings(300<<20, unified), ooms: "memory.events"}},
		root{dir: mine, version: unified, settings: cpuSettings(1.5, unified)},
	)}
	c, err := l.open("srv_1")
	if err != nil {
		t.Fatal(err)
	}
	if fd, ok := c.birthplace(); !ok || fd <= 2 {
		t.Errorf("birthplace: got %d, %v", fd, ok)
	}
	if err := c.enter(1 << 30); err != nil {
		t.Errorf("enter: got %v, want nothing to do", err)
	}
	for file, want := range map[string]string{
		"memory.max": "314572800", "memory.oom.group": "1", "cpu.max": "150000 100000", "cgroup.procs": "",
	} {
		got, err := os.ReadFile(filepath.Join(mine, "srv_1", file))
		if err != nil || string(got) != want {
			t.Errorf("%s: got %q, %v, want %q", file, got, err, want)
		}
	}
	events := filepath.Join(mine, "srv_1", "memory.events")
	for content, want := range map[string]bool{"oom 3\noom_kill 0\n": false, "low 0\noom_kill 2\noom_group_kill 1\n": true} {
		if err := os.WriteFile(events, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		if got := c.outOfMemory(); got != want {
			t.Errorf("%q: got %v, want %v", content, got, want)
		}
	}
}

func TestNoLimitsSaysWhyInOneLine(t *testing.T) {
	_, err := groups{unified: fakeUnified(t, "pids")}.roots(1<<30, 1)
	for _, want := range []string{"no memory limit: ", "no cpu limit: ", "has no cpu controller"} {
		if !strings.Contains(fmt.Sprint(err), want) {
			t.Errorf("got %v, want %q in it", err, want)
		}
	}
	_, err = groups{legacy: map[string]string{"memory": "/proc/throng"}}.roots(1<<30, 0)
	if err == nil || !strings.HasPrefix(err.Error(), "no memory limit: /proc/throng/throng-") {
		t.Errorf("a folder that can't be written: got %v", err)
	}
}

func TestSweepGroups(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"throng-2000000000/srv_a", "throng-2000000001-self", "throng-x/srv_a", "other"} {
		if err := os.MkdirAll(filepath.Join(dir, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	own := filepath.Join(dir, groupPrefix+strconv.Itoa(os.Getpid()))
	if err := os.Mkdir(own, 0o755); err != nil {
		t.Fatal(err)
	}
	sweepGroups(dir)
	entries, err := os.ReadDir(dir)
	got := ""
	for _, e := range entries {
		got += e.Name() + " "
	}
	names := []string{"other", filepath.Base(own), "throng-2000000000", "throng-x"}
	slices.Sort(names)
	want := strings.Join(names, " ") + " "
	if err != nil || got != want { // srv_a has no cgroup.procs: it is not a group
		t.Errorf("got %q, %v, want %q", got, err, want)
	}
}

// All game servers together are one group, which counts for ten processes.
func TestGroupWeight(t *testing.T) {
	mine := filepath.Join(fakeUnified(t, "cpu"), groupPrefix+strconv.Itoa(os.Getpid()))
	file := filepath.Join(mine, "cpu.weight")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := (root{dir: mine, version: unified}).try(cpuController); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(file); err != nil || string(got) != "1000" {
		t.Errorf("got %q, %v, want 1000", got, err)
	}
	if got := weightSetting(legacy); got != (setting{"cpu.shares", "10240", true}) {
		t.Errorf("version 1: got %v", got)
	}
}
