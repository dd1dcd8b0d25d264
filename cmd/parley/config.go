package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/pelletier/go-toml/v2"
	"github.com/spf13/cobra"

	"github.com/parley-im/parley/internal/account"
)

// config is what a server can be told: by flags, or by a file of the same
// words. A flag that was given wins.
type config struct {
	Listen       string   `toml:"listen"`
	Admin        string   `toml:"admin"`
	Data         string   `toml:"data"`
	Registration string   `toml:"registration"`
	RateLimits   string   `toml:"rate_limits"`
	BaseURL      string   `toml:"base_url"`
	Origins      []string `toml:"origins"`
	TextLimit    int      `toml:"text_limit"`
	CacheMB      int64    `toml:"cache_mb"`
	MinFreeMB    int64    `toml:"min_free_mb"`
	LogFormat    string   `toml:"log"`

	PrivateWebhooks bool `toml:"private_webhooks"`

	Store     storeConfig     `toml:"store"`
	Cassandra cassandraConfig `toml:"cassandra"`
	Cluster   clusterConfig   `toml:"cluster"`
}

// exampleConfig is printed by serve --print-config: a file that says nothing
// but what holds anyway.
const exampleConfig = `# Parley works without any line of this. Each line shows what holds if it is absent.

# listen = "127.0.0.1:8080"     # where people reach the server; put TLS in front before it leaves this machine
# admin = "127.0.0.1:8081"      # health, metrics and profiles; never public
# data = "/var/lib/parley"      # everything there is; the platform's data directory
# registration = "invite"       # open, invite or closed
# rate_limits = "on"            # off is for benches and tests
# base_url = ""                 # "https://chat.example.org": how people reach it, for links
# origins = []                  # further origins whose pages may call
# text_limit = 1000             # characters of a message, up to 16384
# cache_mb = 256                # memory for what was read from disk
# min_free_mb = 64              # of disk that stays free; below it writes are refused
# log = "text"                  # text or json
# private_webhooks = false      # whether webhooks of bots may be on this machine and in private networks
` + exampleCluster

const (
	defaultListen = "127.0.0.1:8080"
	defaultAdmin  = "127.0.0.1:8081"
)

func (c *config) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&c.Listen, "listen", defaultListen, "address to serve on")
	f.StringVar(&c.Admin, "admin", defaultAdmin, "address for health, metrics and profiles; off for none")
	f.StringVar(&c.Data, "data", "", "directory of the store (default: the platform's data directory)")
	f.StringVar(&c.Registration, "registration", string(account.ByInvite), "who may sign up: open, invite or closed")
	f.StringVar(&c.RateLimits, "rate-limits", "on", "on, or off for benches and tests")
}

// load fills in what no flag said from the file at path, and the rest with
// what holds by default.
func (c *config) load(cmd *cobra.Command, e env, path string) error {
	file := *c
	if path != "" {
		raw, err := os.ReadFile(path)
		if err != nil {
			return fmt.Errorf("the configuration cannot be read: %w", err)
		}
		d := toml.NewDecoder(bytes.NewReader(raw)).DisallowUnknownFields()
		if err := d.Decode(&file); err != nil {
			return fmt.Errorf("the configuration %s is not good: %s", path, where(err))
		}
	}
	for flag, to := range map[string][2]*string{
		"listen": {&file.Listen, &c.Listen}, "admin": {&file.Admin, &c.Admin}, "data": {&file.Data, &c.Data},
		"registration": {&file.Registration, &c.Registration}, "rate-limits": {&file.RateLimits, &c.RateLimits},
	} {
		if cmd.Flags().Changed(flag) {
			*to[0] = *to[1]
		}
	}
	*c = file
	if c.Data == "" {
		dir, err := dataDir(e)
		if err != nil {
			return err
		}
		c.Data = dir
	}
	return c.check()
}

// where says which line of a file is wrong, and why.
func where(err error) string {
	if strict, ok := errors.AsType[*toml.StrictMissingError](err); ok && len(strict.Errors) > 0 {
		row, _ := strict.Errors[0].Position()
		return fmt.Sprintf("line %d: unknown key %q; see parley serve --print-config", row, strings.Join(strict.Errors[0].Key(), "."))
	}
	if d, ok := errors.AsType[*toml.DecodeError](err); ok {
		row, _ := d.Position()
		return fmt.Sprintf("line %d: %s", row, d.Error())
	}
	return err.Error()
}

func (c *config) check() error {
	switch account.Mode(c.Registration) {
	case account.Open, account.ByInvite, account.Closed:
	default:
		return usageError{fmt.Errorf("registration is open, invite or closed, not %q", c.Registration)}
	}
	if c.RateLimits != "on" && c.RateLimits != "off" {
		return usageError{fmt.Errorf("rate limits are on or off, not %q", c.RateLimits)}
	}
	if c.LogFormat != "" && c.LogFormat != "text" && c.LogFormat != "json" {
		return usageError{fmt.Errorf("log is text or json, not %q", c.LogFormat)}
	}
	if c.CacheMB < 0 || c.MinFreeMB < 0 || c.TextLimit < 0 {
		return usageError{errors.New("a size is not negative")}
	}
	return c.checkCluster()
}

// dataDir is where the platform keeps data of a user's programs.
func dataDir(e env) (string, error) {
	if dir := e.getenv("XDG_DATA_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "parley"), nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", errors.New("there is no home directory to keep the data in; say where with --data")
	}
	switch runtime.GOOS {
	case "darwin":
		return filepath.Join(home, "Library", "Application Support", "parley"), nil
	case "windows":
		if dir := e.getenv("LOCALAPPDATA"); dir != "" {
			return filepath.Join(dir, "parley"), nil
		}
	}
	return filepath.Join(home, ".local", "share", "parley"), nil
}
