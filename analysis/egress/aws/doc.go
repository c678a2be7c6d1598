// Package aws signs requests to the services of AWS with the credentials of the
// controller. It is the one place that knows them: it finds them where AWS puts
// them for a program, keeps them until they expire, and gives nobody more than a
// signature. It asks no service but those that give credentials. The providers
// of metrics that AWS keeps call it.
//
// Whose credentials sign is for the operator to limit. A metric may name any
// profile in the AWS configuration of the controller, and any role that the
// controller may assume, so both belong to all who may write metrics. An IAM
// policy for sts:AssumeRole that names the roles, and a configuration without
// profiles that are not for metrics, are the limits.
package aws
