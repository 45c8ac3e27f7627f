// Command mkimage writes an image's archive: make images.
//
//	mkimage -o throng.tar -name throng:1 /throng=bin/throng
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"

	"github.com/throng-gg/throng/deploy/image"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "mkimage:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	var i image.Image
	flags := flag.NewFlagSet("mkimage", flag.ContinueOnError)
	out := flags.String("o", "", "the archive `FILE` that is written")
	flags.StringVar(&i.Name, "name", "", "the image's `NAME:TAG`")
	flags.StringVar(&i.Architecture, "arch", "", "architecture, as Go calls it (default amd64)")
	flags.StringVar(&i.User, "user", "", "`USER:GROUP` in numbers (default "+image.Nobody+")")
	entrypoint := flags.String("entrypoint", "", "the command's `WORDS`, with commas between (default the first file)")
	flags.Usage = func() {
		fmt.Fprintln(flags.Output(), "usage: mkimage -o FILE -name NAME:TAG PATH=FILE|FOLDER ...")
		flags.PrintDefaults()
	}
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *out == "" || flags.NArg() == 0 {
		return errors.New("say what to write (-o) and what is in it (PATH=FILE)")
	}
	if *entrypoint != "" {
		i.Entrypoint = strings.Split(*entrypoint, ",")
	}
	for _, arg := range flags.Args() {
		path, from, ok := strings.Cut(arg, "=")
		if !ok || path == "" || from == "" {
			return fmt.Errorf("%q is not PATH=FILE", arg)
		}
		i.Files = append(i.Files, image.File{Path: path, From: from})
	}
	return image.WriteFile(*out, i)
}
