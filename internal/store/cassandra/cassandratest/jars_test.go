package cassandratest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// program puts a shell script of that name first on PATH.
func program(t *testing.T, name, script string) {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"+script), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+string(os.PathListSeparator)+os.Getenv("PATH"))
}

// TestNothingInstalled: a machine without Java or Maven is told what to
// install; a test that needs Cassandra is never skipped.
func TestNothingInstalled(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	if _, _, err := ready(t.Context()); err == nil || !strings.Contains(err.Error(), "openjdk-17-jre-headless") {
		t.Errorf("without Java: %v", err)
	}
	if _, err := jars(t.Context(), t.TempDir()); err == nil || !strings.Contains(err.Error(), "package maven") {
		t.Errorf("without Maven: %v", err)
	}
}

// TestWrongJava kills a node that dies with a page of Java's complaints.
func TestWrongJava(t *testing.T) {
	program(t, "java", `echo 'openjdk version "21.0.2" 2024-01-16'`)
	if _, _, err := ready(t.Context()); err == nil || !strings.Contains(err.Error(), "is Java 21") {
		t.Errorf("with Java 21: %v", err)
	}
}

// TestInterruptedFetch kills a kit that takes half a download for a whole one.
func TestInterruptedFetch(t *testing.T) {
	home := t.TempDir()
	into := `for a in "$@"; do case $a in -DoutputDirectory=*) d=${a#*=}; mkdir -p "$d"; echo x >"$d/one.jar";; esac; done; `
	program(t, "mvn", into+`echo "no network"; exit 1`)
	if _, err := jars(t.Context(), home); err == nil || !strings.Contains(err.Error(), "no network") {
		t.Fatalf("a fetch that fails: %v", err)
	}
	program(t, "mvn", into+`echo y >"$d/two.jar"`)
	for range 2 {
		lib, err := jars(t.Context(), home)
		if err != nil {
			t.Fatal(err)
		}
		if found, err := filepath.Glob(filepath.Join(lib, "*.jar")); err != nil || len(found) != 2 {
			t.Errorf("found %q, %v", found, err)
		}
		program(t, "mvn", `exit 1`) // it is not asked again
	}
}
