// Package resources builds the objects a Rollout owns and reads facts from
// them. It is pure: the shell in controllers/rollout reads and writes them.
package resources
