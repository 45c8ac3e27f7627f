package main

import (
	"bytes"
	"strings"
	"testing"
)

// Who starts it wrongly is told so, in words that name what is wrong.
func TestStarts(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		args   []string
		status int
		want   string
	}{
		{"help", []string{"--help"}, 0, "--server-token"},
		{"no door", []string{"--server", "x", "--server-token", "x"}, 2, "--addr"},
		{"an unknown flag", []string{"--colour"}, 2, "--colour"},
		{"no name and no sidecar", []string{"--addr", "http://127.0.0.1:1"}, 2, "THRONG_SERVER"},
		{"a name that is none", []string{"--addr", "http://127.0.0.1:1", "--server", "x", "--server-token", "x"}, 1, "THRONG_SERVER"},
		{"memory below nothing", []string{"--addr", "http://127.0.0.1:1", "--memory-most", "-1", "--agones"}, 2, "--memory-most"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			status := run(t.Context(), c.args, strings.NewReader(""), &out, &out)
			if status != c.status || !strings.Contains(out.String(), c.want) {
				t.Errorf("exit status %d, want %d and %q in:\n%s", status, c.status, c.want, out.String())
			}
		})
	}
}
