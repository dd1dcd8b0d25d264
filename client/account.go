package client

import (
	"context"
	"net/http"
	"net/url"

	"github.com/parley-im/parley/wire"
)

// Registration is what signing up asks for. Invite may be empty where the
// server lets anybody in.
type Registration struct {
	Handle, Password string
	Name             string // shown to others; empty: the handle
	Invite           string // a code
	Device           string // a name for this device
}

// Register makes an account at the server at address and signs this device in.
func Register(ctx context.Context, address string, r Registration, opt Options) (Credentials, error) {
	return signIn(ctx, address, "/v1/accounts", wire.NewAccount{
		Handle: r.Handle, Password: r.Password, Name: r.Name, Invite: r.Invite, Device: r.Device,
	}, opt)
}

// SignIn signs this device in to an account that exists. device is a name for
// the device; it may be empty.
func SignIn(ctx context.Context, address, handle, password, device string, opt Options) (Credentials, error) {
	return signIn(ctx, address, "/v1/sessions", wire.NewSession{Handle: handle, Password: password, Device: device}, opt)
}

func signIn(ctx context.Context, address, path string, in any, opt Options) (Credentials, error) {
	u, err := ServerURL(address)
	if err != nil {
		return Credentials{}, err
	}
	var out wire.SignedIn
	if _, err := New(Credentials{URL: u}, opt).do(ctx, http.MethodPost, path, in, &out); err != nil {
		return Credentials{}, err
	}
	return Credentials{URL: u, User: out.User, Device: out.Device, Token: out.Token}, nil
}

// SignOut ends this device's session; its token is no longer good.
func (c *Client) SignOut(ctx context.Context) error {
	_, err := c.do(ctx, http.MethodDelete, "/v1/sessions/current", nil, nil)
	return err
}

// Devices lists the devices of this account.
func (c *Client) Devices(ctx context.Context) ([]wire.Device, error) {
	return collect[wire.Device](ctx, c, "/v1/devices")
}

// SignOutDevice signs another device out; its connections close within a second.
func (c *Client) SignOutDevice(ctx context.Context, device string) error {
	_, err := c.do(ctx, http.MethodDelete, "/v1/devices/"+url.PathEscape(device), nil, nil)
	return err
}

// Me returns the account of this device.
func (c *Client) Me(ctx context.Context) (wire.Me, error) {
	return get[wire.Me](ctx, c, "/v1/me")
}

// SetName changes the name others see.
func (c *Client) SetName(ctx context.Context, name string) (wire.Me, error) {
	return c.SetProfile(ctx, wire.MePatch{Name: &name})
}

// SetProfile changes what others see of this account, and what it sees of
// them: what is nil in p stays.
func (c *Client) SetProfile(ctx context.Context, p wire.MePatch) (wire.Me, error) {
	return call[wire.Me](ctx, c, http.MethodPatch, "/v1/me", p)
}

// User returns the account with this handle (without @) or id.
func (c *Client) User(ctx context.Context, handleOrID string) (wire.User, error) {
	return get[wire.User](ctx, c, "/v1/users/"+url.PathEscape(handleOrID))
}

// NewInvite makes an invite that lets uses people sign up within hours; zeros
// are the server's defaults.
func (c *Client) NewInvite(ctx context.Context, uses, hours uint64) (wire.Invite, error) {
	return call[wire.Invite](ctx, c, http.MethodPost, "/v1/invites", wire.NewInvite{Uses: uses, Hours: hours})
}

// Invites lists the invites this account made.
func (c *Client) Invites(ctx context.Context) ([]wire.Invite, error) {
	return collect[wire.Invite](ctx, c, "/v1/invites")
}

// RevokeInvite makes an invite worthless.
func (c *Client) RevokeInvite(ctx context.Context, code string) error {
	_, err := c.do(ctx, http.MethodDelete, "/v1/invites/"+url.PathEscape(code), nil, nil)
	return err
}

// get is call for GET.
func get[T any](ctx context.Context, c *Client, path string) (T, error) {
	return call[T](ctx, c, http.MethodGet, path, nil)
}

// call makes one request whose answer is a T.
func call[T any](ctx context.Context, c *Client, method, path string, in any) (T, error) {
	var out T
	_, err := c.do(ctx, method, path, in, &out)
	return out, err
}

// collect reads a list to its end.
func collect[T any](ctx context.Context, c *Client, path string) ([]T, error) {
	var all []T
	for item, err := range pages[T](ctx, c, path) {
		if err != nil {
			return all, err
		}
		all = append(all, item)
	}
	return all, nil
}
