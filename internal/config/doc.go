// Package config turns the configuration file into a checked Config: TOML in,
// types out. Whatever Load returns without an error can be run.
//
//	file --toml--> raw text of each key --types--> Config --check--> ready
//	             Passwords <--change-- callers, in a file beside the spool
//
// Strings become types once, here. Secrets are held in a type that cannot
// print. Every fault says where it stands (the line, or the entry and key) and
// what would be right. docs/configuration.md is the reference.
package config
