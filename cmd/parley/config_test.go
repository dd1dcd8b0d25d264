package main

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// TestExampleConfig kills a setting that --print-config does not show, and an
// example that the program refuses.
func TestExampleConfig(t *testing.T) {
	for _, f := range reflect.VisibleFields(reflect.TypeFor[config]()) {
		if key := f.Tag.Get("toml"); f.Type.Kind() != reflect.Struct && !strings.Contains(exampleConfig, "\n# "+key+" = ") {
			t.Errorf("the example does not show %s", key)
		}
	}
	var plain strings.Builder
	for line := range strings.Lines(exampleConfig) {
		if setting, ok := strings.CutPrefix(line, "# "); ok && (strings.Contains(setting, " = ") || setting[0] == '[') {
			line = setting
		}
		plain.WriteString(strings.Replace(line, "private_webhooks = false", "private_webhooks = true", 1))
	}
	file := filepath.Join(t.TempDir(), "parley.toml")
	if err := os.WriteFile(file, []byte(plain.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	var c config
	if err := c.load(newServe(env{}), env{getenv: func(string) string { return "" }}, file); err != nil {
		t.Fatalf("%v:\n%s", err, plain.String())
	}
	if !c.PrivateWebhooks || c.Listen != defaultListen {
		t.Errorf("read %+v", c)
	}
}
