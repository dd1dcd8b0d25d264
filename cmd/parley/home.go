package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/parley-im/parley"
	"github.com/parley-im/parley/client"
)

// home is the directory where the commands of one device keep what they need:
// device.json, the credentials, queue/, messages that are not sent yet, and
// shelf.json, the list of conversations as parley chat last knew it.
// Only its owner can read it.
type home string

// openHome returns the directory that PARLEY_HOME names, or the usual one. It
// makes nothing.
func openHome(e env) (home, error) {
	if dir := e.getenv("PARLEY_HOME"); dir != "" {
		return home(dir), nil
	}
	dir, err := os.UserConfigDir()
	if err != nil {
		return "", errors.New("there is no directory for settings; say where with PARLEY_HOME")
	}
	return home(filepath.Join(dir, "parley")), nil
}

func (h home) device() string { return filepath.Join(string(h), "device.json") }
func (h home) queue() string  { return filepath.Join(string(h), "queue") }
func (h home) shelf() string  { return filepath.Join(string(h), "shelf.json") }

var errNotSignedIn = parley.E(parley.Unauthorized, "home.load", "you are not signed in; run parley login URL HANDLE first")

// load returns the credentials of this device.
func (h home) load() (client.Credentials, error) {
	data, err := os.ReadFile(h.device())
	if errors.Is(err, fs.ErrNotExist) {
		return client.Credentials{}, errNotSignedIn
	}
	if err != nil {
		return client.Credentials{}, fmt.Errorf("the sign-in cannot be read: %w", err)
	}
	var cred client.Credentials
	if err := json.Unmarshal(data, &cred); err != nil || cred.Token == "" || cred.URL == "" {
		return client.Credentials{}, fmt.Errorf("the sign-in in %s is damaged; run parley login URL HANDLE again", h.device())
	}
	return cred, nil
}

// save keeps the credentials of this device, in the place of others.
func (h home) save(cred client.Credentials) error {
	data, err := json.MarshalIndent(cred, "", "  ")
	if err != nil {
		return err
	}
	if err := h.write(append(data, '\n')); err != nil {
		return fmt.Errorf("the sign-in cannot be kept: %w", err)
	}
	return nil
}

// write replaces the credentials' file at once. It never exists with more
// rights than its owner's.
func (h home) write(data []byte) (err error) {
	if err := os.MkdirAll(string(h), 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(string(h), ".device-*") // 0600
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name())
		}
	}()
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), h.device())
}

// forget removes the credentials, and what was known with them.
func (h home) forget() error {
	if err := os.Remove(h.shelf()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return os.Remove(h.device())
}

// dial returns the client of the device that is signed in.
func dial(e env) (*client.Client, home, error) {
	h, err := openHome(e)
	if err != nil {
		return nil, "", err
	}
	cred, err := h.load()
	if err != nil {
		return nil, "", err
	}
	return client.New(cred, options(e)), h, nil
}

func options(e env) client.Options {
	return client.Options{Name: "parley/" + version, Rand: e.rand}
}
