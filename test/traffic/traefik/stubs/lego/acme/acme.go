// Package acme has the types of an account that Traefik names.
package acme

// Account is an account.
type Account struct{}

// ExtendedAccount is an account with its address.
type ExtendedAccount struct {
	Account

	Location string
}
