package aws

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/headway-rollouts/headway/analysis/egress"
)

// Signer signs requests for one service with Signature Version 4. It is an
// egress.Signer. What it signs holds for the host that the request names alone,
// so a host cannot pass it on to another.
type Signer struct {
	room    *Credentials
	chain   *chain
	who     Identity
	service string
}

// Region is where the service is that it signs for.
func (s *Signer) Region() string { return s.chain.config.Region }

// Sign adds the signature of a request, its body included.
func (s *Signer) Sign(request *http.Request) error {
	sum, err := hashOf(request)
	if err != nil {
		return fmt.Errorf("signing for AWS: %w", err)
	}
	ctx, cancel := context.WithTimeout(request.Context(), patience)
	defer cancel()
	keys, err := s.chain.source.Retrieve(ctx)
	switch {
	case err != nil && ctx.Err() != nil:
		return errors.New("AWS did not give the controller credentials in time; check that it has a role or keys")
	case err != nil:
		s.room.drop(s.who, s.chain)
		return refused(err)
	case !keys.CanExpire && s.age() > freshFor:
		s.room.drop(s.who, s.chain)
	}
	if err := s.chain.signer.SignHTTP(ctx, keys, request, sum, s.service, s.Region(), s.room.Now()); err != nil {
		return fmt.Errorf("signing for AWS: %w", err)
	}
	return nil
}

// Rejected has the credentials looked up again, though not for each of many
// requests that are rejected.
func (s *Signer) Rejected() {
	if s.age() > time.Minute {
		s.room.drop(s.who, s.chain)
	}
}

func (s *Signer) age() time.Duration { return s.room.Now().Sub(s.chain.loaded) }

// refused says why there are no credentials, in the words of AWS when it has any.
func refused(err error) error {
	var said interface {
		error
		ErrorCode() string
		ErrorMessage() string
	}
	if errors.As(err, &said) {
		return fmt.Errorf("AWS gives the controller no credentials: %s: %s", said.ErrorCode(), egress.Brief(said.ErrorMessage()))
	}
	return fmt.Errorf("AWS gives the controller no credentials; check that it has a role or keys: %s", egress.Brief(err.Error()))
}

// hashOf is the hash of the body of a request, which can be read again after it.
func hashOf(request *http.Request) (string, error) {
	var body []byte
	if request.Body != nil && request.Body != http.NoBody {
		var err error
		if body, err = io.ReadAll(request.Body); err != nil {
			return "", fmt.Errorf("reading the body: %w", err)
		}
		_ = request.Body.Close()
		request.Body = io.NopCloser(bytes.NewReader(body))
	}
	sum := sha256.Sum256(body)
	return hex.EncodeToString(sum[:]), nil
}
