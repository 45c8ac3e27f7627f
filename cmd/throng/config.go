package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/alecthomas/kong"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/cmd/command"
)

// fileFlags name a configuration file.
type fileFlags struct {
	Config string `env:"THRONG_CONFIG" type:"path" help:"Configuration file (YAML). Flags come before the environment, the environment before the file." placeholder:"FILE"`
}

// newParser makes the command line, a *cli. Flags that are not given are taken from the environment, then from the configuration file.
func newParser(commands any, files *fileResolver, options ...kong.Option) (*kong.Kong, error) {
	return kong.New(commands, append([]kong.Option{
		kong.Name("throng"),
		kong.Description("Throng places players into game sessions and runs the servers that they play on."),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
		kong.Vars{"version": command.Version()},
		kong.PostBuild(nameEnvironment),
		kong.ValueFormatter(helpOf),
		kong.Resolvers(files),
	}, options...)...)
}

// nameEnvironment gives every flag that a file may set a variable of its own.
func nameEnvironment(k *kong.Kong) error {
	for _, s := range sections() {
		node := s.node(k.Model)
		if node == nil {
			continue // not in this part
		}
		for name, flag := range settings(node) {
			// A copy: commands may share what an embedded struct declares.
			envs := append([]string{s.env(name)}, flag.Tag.Envs...)
			tag := *flag.Tag
			tag.Envs = slices.Compact(envs)
			flag.Tag = &tag
			flag.Envs = tag.Envs
		}
	}
	return nil
}

// helpOf shows the variables that are the same for all commands. The others
// follow from the flag's name, see docs/configuration.md.
func helpOf(v *kong.Value) string {
	var shown []string
	for _, env := range v.Tag.Envs {
		if !slices.ContainsFunc(sections(), func(s section) bool { return env == s.env(v.Name) }) {
			shown = append(shown, "$"+env)
		}
	}
	if len(shown) == 0 {
		return v.Help
	}
	return strings.TrimSuffix(v.Help, ".") + " (" + strings.Join(shown, ", ") + ")."
}

// fileResolver gives the flags of one command line what the configuration file
// says.
type fileResolver struct {
	file  *configFile        // nil: not read
	fault error              // of the file
	used  map[string]setting // by flag: what was taken from the file
}

func newFileResolver() *fileResolver { return &fileResolver{used: map[string]setting{}} }

// locate puts the place in the file before an error that is about a value from
// it.
func (r *fileResolver) locate(err error) error {
	if r.fault != nil {
		return r.fault
	}
	e, ok := errors.AsType[*throng.Error](err)
	if !ok {
		return err
	}
	set, ok := r.used[strings.TrimPrefix(e.Field, "--")]
	if !ok {
		return err
	}
	return &throng.Error{Kind: e.Kind, Field: set.at, RetryAfter: e.RetryAfter, Err: fmt.Errorf("%s: %w", set.key, e.Err)}
}

// Validate has nothing to do: a file is checked when it is read.
func (r *fileResolver) Validate(*kong.Application) error { return nil }

// Resolve returns the file's value of a flag; nil: it says nothing, or the
// environment says something.
func (r *fileResolver) Resolve(ctx *kong.Context, parent *kong.Path, flag *kong.Flag) (any, error) {
	set, err := r.find(ctx, parent, flag)
	if set == nil || err != nil {
		return nil, err
	}
	r.used[flag.Name] = *set
	return set.value, nil
}

func (r *fileResolver) find(ctx *kong.Context, parent *kong.Path, flag *kong.Flag) (*setting, error) {
	at := slices.IndexFunc(sections(), func(s section) bool { return s.node(ctx.Model) == parent.Node() })
	if at < 0 || envOf(flag) != "" {
		return nil, nil //nolint:nilnil // nothing is what the file says
	}
	s := sections()[at]
	name := configOf(ctx, parent.Node())
	if name == "" || settings(parent.Node())[flag.Name] == nil {
		return nil, nil //nolint:nilnil // the same
	}
	if r.file == nil {
		if r.file, r.fault = readConfig(name, ctx.Model); r.fault != nil {
			return nil, r.fault
		}
	}
	if set, ok := r.file.sections[s.name][flag.Name]; ok {
		return &set, nil
	}
	return nil, nil //nolint:nilnil // the same
}

// configOf is the configuration file of a command, by flag or environment.
func configOf(ctx *kong.Context, node *kong.Node) string {
	for _, f := range node.Flags {
		if f.Name == configFlag {
			name, _ := ctx.FlagValue(f).(string)
			return name
		}
	}
	return ""
}

// envOf is the environment variable that sets a flag; empty: none does.
func envOf(flag *kong.Flag) string {
	for _, name := range flag.Tag.Envs {
		if _, set := os.LookupEnv(name); set {
			return name
		}
	}
	return ""
}

// doorFlags say which region a command speaks to, and as whom.
type doorFlags struct {
	Addr  string `default:"http://127.0.0.1:7700" env:"THRONG_ADDR" help:"URL of the region's door, or of several, separated by commas: the next one is tried when one is not reached." placeholder:"URL,..."`
	Token string `env:"THRONG_TOKEN" help:"Access token. Without one, a development region is asked for it."`
	command.CallFlags
}

// creatorFlags say the same for what creators do.
type creatorFlags struct {
	doorFlags
	Key string `env:"THRONG_KEY" help:"API key, in place of an access token (throng keys create)." placeholder:"KEY"`
}

// url checks the doors' addresses.
func (f doorFlags) url() (string, error) {
	doors, err := command.DoorURLs(f.Addr)
	return strings.Join(doors, ","), err
}

// listen opens the door's port. Errors name the flag, in one line.
func listen(e *env, addr string) (net.Listener, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(e.ctx, "tcp", strings.TrimPrefix(addr, "http://"))
	if err != nil {
		return nil, fmt.Errorf("--addr %s: %w", addr, err)
	}
	return l, nil
}

// gameServer is the path of the program of game servers, which stands beside this
// one. NotFound: it does not.
func gameServer() (string, error) {
	exe, err := self()
	if err != nil {
		return "", err
	}
	beside := filepath.Join(filepath.Dir(exe), "throng-gameserver")
	if _, err := os.Stat(beside); err != nil {
		return "", throng.Errorf(throng.NotFound, "the program of game servers must be beside this one (make build): %w", err)
	}
	return beside, nil
}

// self is the path of this program.
func self() (string, error) {
	path, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("find the program's own file: %w", err)
	}
	return filepath.EvalSymlinks(path)
}
