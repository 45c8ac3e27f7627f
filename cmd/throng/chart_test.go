package main

import (
	"bytes"
	"cmp"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
	"go.yaml.in/yaml/v3"

	"github.com/throng-gg/throng/cmd/host"
)

// TestChartSpeaksOurLanguage: the flags that the Helm chart starts the control
// plane with, and the environment that it gives game servers, are those of
// our programs.
func TestChartSpeaksOurLanguage(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("../../deploy/testdata/*.golden.yaml")
	if err != nil || len(files) < 3 {
		t.Fatalf("got %v %v, want the chart's golden files", files, err)
	}
	deployments, fleets := 0, 0
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		d := yaml.NewDecoder(bytes.NewReader(text))
		for {
			var o struct {
				Kind string
				Spec struct {
					Template struct {
						Spec struct {
							podOf    `yaml:",inline"`
							Template struct{ Spec podOf }
						}
					}
				}
			}
			err := d.Decode(&o)
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			switch o.Kind {
			case "Deployment":
				deployments++
				started(t, file, o.Spec.Template.Spec.podOf)
			case "Fleet":
				fleets++
				started(t, file, o.Spec.Template.Spec.Template.Spec)
			}
		}
	}
	if deployments < 2 || fleets < 4 {
		t.Errorf("got %d Deployments and %d Fleets, want 2 and 4", deployments, fleets)
	}
}

// podOf is what a pod's container is started with.
type podOf struct {
	Containers []struct {
		Command []string
		Args    []string
		Env     []struct{ Name, Value string }
	}
}

func started(t *testing.T, file string, pod podOf) {
	t.Helper()
	c := pod.Containers[0]
	parser, err := newParser(new(cli), newFileResolver(), kong.Writers(io.Discard, io.Discard))
	program := strings.Join(c.Command, " ")
	if program == "/throng-gameserver" {
		parser, err = kong.New(new(host.Command), kong.Writers(io.Discard, io.Discard))
	}
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{}
	var walk func(n *kong.Node)
	walk = func(n *kong.Node) {
		for _, f := range n.Flags {
			for _, name := range f.Envs {
				known[name] = true
			}
		}
		for _, child := range n.Children {
			walk(child)
		}
	}
	walk(parser.Model.Node)
	args := c.Args
	for i, a := range args {
		args[i] = strings.NewReplacer("$(POD_IP)", "10.0.0.7", "$(POD_NAME)", "throng-0").Replace(a)
	}
	for _, e := range c.Env {
		switch {
		case e.Name == "POD_IP" || e.Name == "POD_NAME":
		case strings.HasPrefix(e.Name, "AWS_"): // read by the AWS SDK
		case !known[e.Name]:
			t.Errorf("%s: no flag reads %s from the environment", file, e.Name)
		case program != "":
			args = append(args, flagOf(parser.Model.Node, e.Name)+"="+e.Value)
		}
	}
	if _, err := parser.Parse(args); err != nil {
		t.Errorf("%s: %s %s: %v", file, cmp.Or(program, "throng"), strings.Join(args, " "), err)
	}
}

// flagOf is the flag that a variable of the environment sets.
func flagOf(n *kong.Node, variable string) string {
	for _, f := range n.Flags {
		if slices.Contains(f.Envs, variable) {
			return "--" + f.Name
		}
	}
	return "--no-flag-for-" + variable
}
