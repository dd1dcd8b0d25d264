package cassandratest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// version is the Cassandra of kit/pom.xml.
const version = "5.0.8"

// fetchWithin bounds the download, 60 MB on the first run of a machine.
const fetchWithin = 10 * time.Minute

// ready returns the java to run and the directory of Cassandra's jars.
func ready(ctx context.Context) (java, lib string, err error) {
	java, err = exec.LookPath("java")
	if err != nil {
		return "", "", errors.New("a real Cassandra needs Java 17: install the Debian package openjdk-17-jre-headless, or put the java of a JDK 17 on PATH")
	}
	if err := checkJava(ctx, java); err != nil {
		return "", "", err
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", "", fmt.Errorf("find the directory for Cassandra's jars: %w", err)
	}
	lib, err = jars(ctx, filepath.Join(cache, "parley-cassandra-"+version))
	return java, lib, err
}

var javaVersion = regexp.MustCompile(`version "(\d+)`)

func checkJava(ctx context.Context, java string) error {
	out, err := exec.CommandContext(ctx, java, "-version").CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s -version: %w: %s", java, err, out)
	}
	m := javaVersion.FindSubmatch(out)
	if m == nil {
		return fmt.Errorf("%s does not say which Java it is: %s", java, out)
	}
	if major, _ := strconv.Atoi(string(m[1])); major != 11 && major != 17 {
		return fmt.Errorf("%s is Java %s, and Cassandra 5.0 runs on 17: install the Debian package openjdk-17-jre-headless and put it first on PATH", java, m[1])
	}
	return nil
}

// jars returns the directory of the jars under home, fetching them when they
// are not there. The directory gets its name when it is whole; a lock file
// lets one process fetch while others wait.
func jars(ctx context.Context, home string) (string, error) {
	lib := filepath.Join(home, "lib")
	if _, err := os.Stat(lib); err == nil {
		return lib, nil
	}
	if err := os.MkdirAll(home, 0o755); err != nil {
		return "", err
	}
	lock, err := os.Create(filepath.Join(home, "lock"))
	if err != nil {
		return "", err
	}
	defer lock.Close() // which unlocks
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX); err != nil {
		return "", fmt.Errorf("lock %s: %w", lock.Name(), err)
	}
	if _, err := os.Stat(lib); err == nil {
		return lib, nil
	}
	part := filepath.Join(home, "part")
	if err := os.RemoveAll(part); err != nil { // of a fetch that was interrupted
		return "", err
	}
	if err := fetch(ctx, home, part); err != nil {
		return "", err
	}
	return lib, os.Rename(part, lib)
}

func fetch(ctx context.Context, home, into string) error {
	mvn, err := exec.LookPath("mvn")
	if err != nil {
		return errors.New("the jars of Cassandra are fetched by Maven: install the Debian package maven")
	}
	pom, err := kit.ReadFile("kit/pom.xml")
	if err != nil {
		return err
	}
	at := filepath.Join(home, "pom.xml")
	if err := os.WriteFile(at, pom, 0o644); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, fetchWithin)
	defer cancel()
	cmd := exec.CommandContext(ctx, mvn, "-q", "-B", "-f", at, "dependency:copy-dependencies",
		"-DincludeScope=runtime", "-DoutputDirectory="+into)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("fetch Cassandra's jars with %s (is the network there?): %w\n%s", mvn, err, bytes.TrimSpace(out))
	}
	return nil
}
