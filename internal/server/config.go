package server

import (
	"bufio"
	"cmp"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/url"
	"os"
	"strconv"
	"strings"

	"github.com/clewhq/clew/internal/catalog"
	"github.com/clewhq/clew/internal/domain"
)

// Config is everything that can be set. Flags stand over environment variables,
// those over the file that --config names, that over the defaults.
type Config struct {
	Listen      string // host:port of the one HTTP port
	Data        string // the data folder
	OTLPGRPC    string // host:port for OTLP over gRPC; not served yet
	LogLevel    slog.Level
	LogJSON     bool
	Pprof       bool
	MaxBody     int64  // bytes of a request's body after decompression
	MaxMedia    int64  // bytes of an uploaded content
	PublicURL   string // how clients reach the server, without a slash at its end; "": as each of them called
	QueueBytes  int64  // bytes of bodies that may wait to be written
	MemoryLimit int64  // bytes that the garbage collector keeps below if it can; 0: no limit

	// EncryptionKey encrypts the keys of model providers; "": the folder has one.
	EncryptionKey string

	Init         catalog.Init
	InitPassword string
}

// Setting is one setting as it came out, for `clew config`.
type Setting struct {
	Name   string // of its flag, or of its variable where it has no flag
	Value  string // masked where it is a secret
	Source string // "default", "file", a variable's name, "flag"
}

// setting describes one thing that can be set. Variables are the names it has
// in the environment and in a file; the first that is set counts.
type setting struct {
	flag      string
	variables []string
	preset    string
	help      string
	secret    bool
	isBool    bool
	set       func(c *Config, v string) error
}

func text(to func(c *Config) *string) func(*Config, string) error {
	return func(c *Config, v string) error { *to(c) = v; return nil }
}

func size(to func(c *Config) *int64) func(*Config, string) error {
	return func(c *Config, v string) (err error) { *to(c), err = parseSize(v); return err }
}

// settings is every setting, in the order in which help lists them.
var settings = []setting{
	{flag: "listen", variables: []string{"CLEW_LISTEN"}, preset: "127.0.0.1:3000", help: "`address` to serve HTTP on: API, OTLP and pages",
		set: func(c *Config, v string) error { c.Listen = v; return checkAddress(v) }},
	{flag: "data", variables: []string{"CLEW_DATA"}, preset: "clew-data", help: "data `folder`; made where it is missing",
		set: func(c *Config, v string) error {
			if c.Data = v; v == "" {
				return errors.New("must not be empty")
			}
			return nil
		}},
	{flag: "otlp-grpc", variables: []string{"CLEW_OTLP_GRPC"}, help: "`address` for OTLP over gRPC; not served yet, use OTLP over HTTP",
		set: func(c *Config, v string) error {
			if c.OTLPGRPC = v; v != "" {
				return errors.New("OTLP over gRPC is not served yet: leave it out and send OTLP over HTTP to /v1/traces on the address of --listen")
			}
			return nil
		}},
	{flag: "log-level", variables: []string{"CLEW_LOG_LEVEL"}, preset: "info", help: "`level`: debug (with every request), info, warn or error",
		set: func(c *Config, v string) error { return c.LogLevel.UnmarshalText([]byte(v)) }},
	{flag: "log-format", variables: []string{"CLEW_LOG_FORMAT"}, preset: "text", help: "`format`: text or json",
		set: func(c *Config, v string) error {
			if c.LogJSON = v == "json"; v != "json" && v != "text" {
				return errors.New("must be text or json")
			}
			return nil
		}},
	{flag: "pprof", variables: []string{"CLEW_PPROF"}, preset: "false", isBool: true, help: "serve /debug/pprof, to anybody who can reach the address",
		set: func(c *Config, v string) (err error) { c.Pprof, err = strconv.ParseBool(v); return err }},
	{flag: "max-body", variables: []string{"CLEW_MAX_BODY"}, preset: "64MiB", help: "largest request `size`, after decompression",
		set: size(func(c *Config) *int64 { return &c.MaxBody })},
	{flag: "max-media", variables: []string{"CLEW_MAX_MEDIA"}, preset: "1GiB", help: "largest `size` of an uploaded image, recording or other content",
		set: size(func(c *Config) *int64 { return &c.MaxMedia })},
	{flag: "public-url", variables: []string{"CLEW_PUBLIC_URL"}, help: "`URL` under which clients reach the server, for links; without it as each client called",
		set: func(c *Config, v string) error {
			c.PublicURL = strings.TrimRight(v, "/")
			u, err := url.Parse(v)
			if v != "" && (err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.RawQuery != "") {
				return errors.New("must be like https://clew.example.com")
			}
			return nil
		}},
	{flag: "queue", variables: []string{"CLEW_QUEUE"}, preset: "64MiB", help: "`size` of what may wait to be written before requests are refused",
		set: size(func(c *Config) *int64 { return &c.QueueBytes })},
	{flag: "memory-limit", variables: []string{"CLEW_MEMORY_LIMIT"}, preset: "0", help: "`size` below which the garbage collector tries to stay; 0: no limit",
		set: size(func(c *Config) *int64 { return &c.MemoryLimit })},

	{variables: []string{"CLEW_ENCRYPTION_KEY"}, secret: true, help: "64 hexadecimal digits by which the keys of model providers are encrypted; without it DATA/secret.key",
		set: func(c *Config, v string) error {
			c.EncryptionKey = v
			_, err := catalog.ParseSecretKey(v)
			return err
		}},
	initSetting("ORG_ID", "id of an organization to have from the start", func(c *Config) *string { return &c.Init.OrgID }),
	initSetting("ORG_NAME", "its name", func(c *Config) *string { return &c.Init.OrgName }),
	initSetting("ORG_PUBLIC_KEY", "public key of the whole organization", func(c *Config) *string { return &c.Init.OrgPublicKey }),
	secretly(initSetting("ORG_SECRET_KEY", "secret key of the whole organization", func(c *Config) *string { return &c.Init.OrgSecretKey })),
	initSetting("PROJECT_ID", "id of a project of it", func(c *Config) *string { return &c.Init.ProjectID }),
	initSetting("PROJECT_NAME", "its name", func(c *Config) *string { return &c.Init.ProjectName }),
	initSetting("PROJECT_PUBLIC_KEY", "public key of the project", func(c *Config) *string { return &c.Init.ProjectPublicKey }),
	secretly(initSetting("PROJECT_SECRET_KEY", "secret key of the project", func(c *Config) *string { return &c.Init.ProjectSecretKey })),
	initSetting("USER_EMAIL", "email address of an owner of the organization", func(c *Config) *string { return &c.Init.UserEmail }),
	initSetting("USER_NAME", "their name", func(c *Config) *string { return &c.Init.UserName }),
	secretly(initSetting("USER_PASSWORD", "their password", func(c *Config) *string { return &c.InitPassword })),
}

// initSetting is a setting by variables alone: under our name, and under
// Langfuse's, so that a compose file made for that keeps working.
func initSetting(name, help string, to func(c *Config) *string) setting {
	return setting{variables: []string{"CLEW_INIT_" + name, "LANGFUSE_INIT_" + name}, help: help, set: text(to)}
}

func secretly(s setting) setting {
	s.secret = true
	return s
}

func (s *setting) name() string {
	if s.flag != "" {
		return "--" + s.flag
	}
	return s.variables[0]
}

// checkAddress wants host:port with a port that can be listened on.
func checkAddress(v string) error {
	_, port, err := net.SplitHostPort(v)
	if err != nil {
		return errors.New("must be host:port, such as 127.0.0.1:3000 or :3000")
	}
	if n, err := strconv.Atoi(port); err != nil || n < 0 || n > 65535 {
		return fmt.Errorf("%q is no port from 0 to 65535", port)
	}
	return nil
}

// parseSize reads bytes: a number, and a unit of KiB, MiB or GiB if there is one.
func parseSize(v string) (int64, error) {
	num, unit := strings.TrimSpace(v), int64(1)
	for suffix, n := range map[string]int64{"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30} {
		if rest, found := strings.CutSuffix(num, suffix); found {
			num, unit = strings.TrimSpace(rest), n
			break
		}
	}
	n, err := strconv.ParseInt(num, 10, 64)
	if err != nil || n < 0 || n > 1<<50/unit {
		return 0, errors.New("must be a size such as 65536, 64KiB, 64MiB or 1GiB")
	}
	return n * unit, nil
}

// LoadConfig gathers the settings: args are those of the command line behind
// the verb, lookup reads the environment. Help and complaints about flags go to
// out. flag.ErrHelp says that help was asked for.
func LoadConfig(verb string, args []string, lookup func(string) (string, bool), out io.Writer) (*Config, []Setting, error) {
	fs := flag.NewFlagSet("clew "+verb, flag.ContinueOnError)
	fs.SetOutput(out)
	given := map[string]string{}
	for i := range settings {
		s := &settings[i]
		if s.flag == "" {
			continue
		}
		take := func(v string) error { given[s.flag] = v; return nil }
		if s.isBool {
			fs.BoolFunc(s.flag, s.help+" (default "+s.preset+")", take)
		} else {
			fs.Func(s.flag, s.help+" (default "+cmp.Or(s.preset, "none")+")", take)
		}
	}
	file := fs.String("config", "", "`file` of NAME=value lines with the variables' names")
	fs.Usage = func() { usage(fs, verb) }
	if err := fs.Parse(args); err != nil {
		return nil, nil, err
	}
	if fs.NArg() > 0 {
		return nil, nil, fmt.Errorf("%q is not understood: %s takes flags only", fs.Arg(0), verb)
	}
	name, _ := lookup("CLEW_CONFIG")
	lines, err := readFile(cmp.Or(*file, name))
	if err != nil {
		return nil, nil, err
	}
	return resolve(given, lookup, lines)
}

// usage explains a verb that takes the settings.
func usage(fs *flag.FlagSet, verb string) {
	out := fs.Output()
	fmt.Fprintf(out, "Usage: clew %s [flags]\n\nFlags:\n", verb)
	fs.PrintDefaults()
	fmt.Fprintf(out, "\nEach flag can also be set by a variable, such as CLEW_LISTEN for --listen. These can be set by\nvariables only; LANGFUSE_INIT_… is understood like CLEW_INIT_…:\n")
	for i := range settings {
		if s := &settings[i]; s.flag == "" {
			fmt.Fprintf(out, "  %-30s %s\n", s.variables[0], s.help)
		}
	}
}

// resolve applies every setting from the strongest source that has it.
func resolve(given map[string]string, lookup func(string) (string, bool), file map[string]string) (*Config, []Setting, error) {
	c := &Config{}
	var list []Setting
	var errs []error
	for i := range settings {
		s := &settings[i]
		value, source := s.preset, "default"
		for _, name := range s.variables {
			if v, found := file[name]; found {
				value, source = v, "file"
				break
			}
		}
		for _, name := range s.variables {
			if v, found := lookup(name); found && v != "" {
				value, source = v, name
				break
			}
		}
		if v, found := given[s.flag]; found && s.flag != "" {
			value, source = v, "flag"
		}
		if value != "" || source == "flag" {
			if err := s.set(c, value); err != nil {
				errs = append(errs, &domain.Error{Code: domain.Invalid, Field: s.name(), Msg: fmt.Sprintf("%s (%s): %v", s.name(), source, err)})
			}
		}
		if s.secret && value != "" {
			value = "(set)"
		}
		list = append(list, Setting{s.name(), value, source})
	}
	for name := range file {
		if !known(name) {
			errs = append(errs, domain.Errorf(domain.Invalid, "the configuration file sets %s, which is no setting", name))
		}
	}
	return c, list, errors.Join(errs...)
}

func known(name string) bool {
	for i := range settings {
		for _, v := range settings[i].variables {
			if v == name {
				return true
			}
		}
	}
	return false
}

// readFile reads NAME=value lines; empty lines and those with # are passed over.
func readFile(path string) (map[string]string, error) {
	if path == "" {
		return nil, nil
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("configuration file: %w", err)
	}
	defer f.Close()
	out := map[string]string{}
	sc := bufio.NewScanner(f)
	for n := 1; sc.Scan(); n++ {
		line := strings.TrimSpace(sc.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		name, value, found := strings.Cut(line, "=")
		if !found {
			return nil, domain.Errorf(domain.Invalid, "%s:%d: expected NAME=value", path, n)
		}
		out[strings.TrimSpace(name)] = strings.Trim(strings.TrimSpace(value), `"`)
	}
	return out, sc.Err()
}
