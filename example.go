// Package jetsend holds the files at the root of the source tree that the
// program shows its users.
package jetsend

import _ "embed"

// ExampleConfig is config.example.yaml, which `jetsend help config-example` prints.
//
//go:embed config.example.yaml
var ExampleConfig string
