package config

import (
	"errors"
	"fmt"

	"github.com/zalando/go-keyring"
)

// service is the name under which the desktop's keyring shows our entries.
const service = "jetsend"

// SystemKeyring is the desktop's: Secret Service or macOS Keychain.
type SystemKeyring struct{}

// Get implements [Keyring].
func (SystemKeyring) Get(account string) (string, error) {
	password, err := keyring.Get(service, account)
	return password, keyringError(err)
}

// Set implements [Keyring].
func (SystemKeyring) Set(account, password string) error {
	return keyringError(keyring.Set(service, account, password))
}

// Delete implements [Keyring].
func (SystemKeyring) Delete(account string) error {
	return keyringError(keyring.Delete(service, account))
}

func keyringError(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, keyring.ErrNotFound):
		return ErrNotInKeyring
	case errors.Is(err, keyring.ErrUnsupportedPlatform):
		return ErrNoKeyring
	}
	return fmt.Errorf("keyring: %w", err)
}

// NoKeyring is for machines without one.
type NoKeyring struct{}

// Get implements [Keyring].
func (NoKeyring) Get(string) (string, error) { return "", ErrNoKeyring }

// Set implements [Keyring].
func (NoKeyring) Set(string, string) error { return ErrNoKeyring }

// Delete implements [Keyring].
func (NoKeyring) Delete(string) error { return ErrNoKeyring }
