package main

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/alecthomas/kong"

	"github.com/throng-gg/throng"
)

// configCmd looks at configuration.
type configCmd struct {
	Check configCheckCmd `cmd:"" help:"Check a configuration file: all faults, with file and line."`
	Show  configShowCmd  `cmd:"" help:"Print what a part would run with, and where each value comes from. Secrets are masked."`
}

// configCheckCmd checks a file.
type configCheckCmd struct {
	File string `arg:"" type:"path" help:"The configuration file."`
}

// Run tells all faults, one a line.
func (c *configCheckCmd) Run(e *env) error {
	var commands cli
	parser, err := newParser(&commands, newFileResolver(), kong.Writers(io.Discard, io.Discard))
	if err != nil {
		return err
	}
	file, err := readConfig(c.File, parser.Model)
	if err != nil {
		return err
	}
	var faults []error
	for _, s := range sections() {
		if _, there := file.sections[s.name]; there {
			_, err := effective(s, []string{"--" + configFlag, c.File})
			faults = append(faults, err)
		}
	}
	if err := errors.Join(faults...); err != nil {
		return err
	}
	fmt.Fprintf(e.out, "%s is good\n", c.File)
	return nil
}

// configShowCmd shows what a part would run with.
type configShowCmd struct {
	Part  string   `arg:"" enum:"dev,control,node" help:"dev, control or node."`
	Flags []string `arg:"" optional:"" passthrough:"" help:"The flags that it would be started with, like --config FILE."`
	JSON  bool     `help:"Print JSON."`
}

// Run prints a table.
func (c *configShowCmd) Run(e *env) error {
	at := slices.IndexFunc(sections(), func(s section) bool { return s.name == c.Part })
	args := c.Flags
	if len(args) > 0 && args[0] == "--" {
		args = args[1:]
	}
	values, err := effective(sections()[at], args)
	if err != nil {
		return err
	}
	if c.JSON {
		return writeJSON(e.out, values)
	}
	t := tabwriter.NewWriter(e.out, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, "KEY\tVALUE\tORIGIN")
	for _, v := range values {
		fmt.Fprintf(t, "%s\t%s\t%s\n", v.Key, v.Value, v.Origin)
	}
	return t.Flush()
}

// effectiveValue is what a part would run with, and why.
type effectiveValue struct {
	Key    string `json:"key"`
	Value  string `json:"value"`
	Origin string `json:"origin"` // flag, $VARIABLE, FILE:LINE or default
}

// masked stands for a secret.
const masked = "(secret)"

// effective parses a command line of a section's command without running it.
func effective(s section, args []string) ([]effectiveValue, error) {
	var commands cli
	files := newFileResolver()
	exited := false
	parser, err := newParser(&commands, files, kong.Writers(io.Discard, io.Discard), kong.Exit(func(int) { exited = true }))
	if err != nil {
		return nil, err
	}
	ctx, err := parser.Parse(append(strings.Fields(s.command), args...))
	if err != nil {
		return nil, files.locate(err)
	}
	if exited {
		return nil, throng.Errorf(throng.Invalid, "there is nothing to show of a call for help")
	}
	node := s.node(parser.Model)
	path := ctx.Path[slices.IndexFunc(ctx.Path, func(p *kong.Path) bool { return p.Node() == node })]
	var all []effectiveValue
	for _, flag := range node.Flags {
		if settings(node)[flag.Name] == nil {
			continue
		}
		v := effectiveValue{Key: s.name + "." + flag.Name, Value: fmt.Sprint(ctx.FlagValue(flag)), Origin: "default"}
		given := slices.ContainsFunc(ctx.Path, func(p *kong.Path) bool { return p.Flag == flag && !p.Resolved })
		set, err := files.find(ctx, path, flag)
		switch {
		case err != nil:
			return nil, err
		case given:
			v.Origin = "flag"
		case envOf(flag) != "":
			v.Origin = "$" + envOf(flag)
		case set != nil:
			v.Origin = set.at
		}
		if flag.Tag.Has("secret") && v.Value != "" {
			v.Value = masked
		}
		all = append(all, v)
	}
	return all, nil
}
