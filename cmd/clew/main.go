// Clew traces and evaluates LLM applications: one server for the SDKs of
// Langfuse and for any OpenTelemetry exporter.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"strings"
)

// version is set by the build.
var version = ""

// verb is one command of the program.
type verb struct {
	name string
	help string
	run  func(e *env, args []string) error
}

var verbs = []verb{
	{"serve", "run the server", serve},
	{"demo", "fill a project with a sample through the API", demo},
	{"keys", "list, create and revoke API keys", keys},
	{"check", "check the configuration, or with --data a data folder", check},
	{"config", "print the configuration and where each setting comes from", config},
	{"version", "print the version", printVersion},
}

// env is what a command touches of the world around it.
type env struct {
	out    io.Writer
	errs   io.Writer
	lookup func(string) (string, bool)
}

func main() {
	e := &env{out: os.Stdout, errs: os.Stderr, lookup: os.LookupEnv}
	os.Exit(run(e, os.Args[1:]))
}

// run runs the command that args name and returns the exit code: 0, 1 for a
// failure, 2 for a command line that is not understood.
func run(e *env, args []string) int {
	if len(args) == 0 {
		usage(e.errs)
		return 2
	}
	name := args[0]
	if name == "help" || name == "-h" || name == "--help" {
		usage(e.out)
		return 0
	}
	for _, v := range verbs {
		if v.name != name {
			continue
		}
		switch err := v.run(e, args[1:]); {
		case err == nil, errors.Is(err, flag.ErrHelp):
			return 0
		default:
			fmt.Fprintf(e.errs, "clew %s: %s\n", name, strings.ReplaceAll(err.Error(), "\n", "\nclew "+name+": "))
			return 1
		}
	}
	fmt.Fprintf(e.errs, "clew: there is no command %q\n\n", name)
	usage(e.errs)
	return 2
}

func usage(out io.Writer) {
	fmt.Fprint(out, "Usage: clew COMMAND [flags]\n\nCommands:\n")
	for _, v := range verbs {
		fmt.Fprintf(out, "  %-8s  %s\n", v.name, v.help)
	}
	fmt.Fprint(out, "\nclew COMMAND --help explains a command.\n")
}

// release is the version without a leading v; a build without one says which
// commit it is of.
func release() string {
	if version != "" {
		return strings.TrimPrefix(version, "v")
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" && len(s.Value) >= 12 {
				return "0.0.0-" + s.Value[:12]
			}
		}
	}
	return "0.0.0-dev"
}

func printVersion(e *env, args []string) error {
	if len(args) > 0 {
		return fmt.Errorf("%q is not understood: version takes nothing", args[0])
	}
	_, err := fmt.Fprintln(e.out, "clew", release())
	return err
}
