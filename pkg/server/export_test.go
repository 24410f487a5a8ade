package server

import (
	"context"
	"time"

	"google.golang.org/grpc/tap"
)

// An Admission is an admission of checks on a clock of its own.
type Admission struct{ *admission }

// NewAdmission makes one for the service a.Service.
func NewAdmission(now func() time.Time, load Load) Admission {
	a := newAdmission([]string{"a.Service"}, now)
	a.set(load)
	return Admission{a}
}

// Arrive is the tap of a check; it gives no context for one that is turned away.
func (a Admission) Arrive() context.Context {
	ctx, err := a.tap(context.Background(), &tap.Info{FullMethodName: "/a.Service/Check"})
	if err != nil {
		return nil
	}
	return ctx
}

// Start is the interceptor of an accepted check.
func (a Admission) Start(ctx context.Context) error {
	_, err := a.intercept(ctx, nil, nil, func(context.Context, any) (any, error) { return nil, nil })
	return err
}

// Turned counts what was turned away.
func (a Admission) Turned() uint64 { return a.shed.Load() }
