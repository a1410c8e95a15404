package control

import (
	"context"
	"errors"
	"net/http"
	"time"

	"pillarbox/appliance/importer"
)

// jobBook keeps moves of mail of one kind, in or out. N asks for one, J is one,
// and R reports what became of a person's mail.
type jobBook[N, J, R any] interface {
	Add(ctx context.Context, n *N, by string) (J, error)
	List() []J
	Await(ctx context.Context, id string, after int64, most time.Duration) (J, error)
	Report(id string, person int) (*R, error)
	Pause(ctx context.Context, id, by string) (J, error)
	Cancel(ctx context.Context, id, by string) (J, error)
	Resume(ctx context.Context, id string, given []importer.Login, common importer.Secret, by string) (J, error)
	Remove(ctx context.Context, id, by string) error
}

// ResumeJob goes on with a move.
type ResumeJob struct {
	People []importer.Login `json:"people,omitempty"` // with new passwords
	Secret importer.Secret  `json:"secret,omitempty"` // the administrator's
}

// jobRoutes are the requests that moves in and out have in common, below a path;
// explain finds the code for what went wrong.
func jobRoutes[N, J, R any](path string, b jobBook[N, J, R], explain func(error) error) map[string]func(http.ResponseWriter, *http.Request) error {
	answer := func(w http.ResponseWriter, status int, v any, err error) error {
		if err != nil {
			return explain(err)
		}
		return writeJSON(w, status, v)
	}

	return map[string]func(http.ResponseWriter, *http.Request) error{
		"GET " + path: func(w http.ResponseWriter, _ *http.Request) error { return writeJSON(w, http.StatusOK, b.List()) },
		"POST " + path: func(w http.ResponseWriter, r *http.Request) error {
			var n N
			if err := readUpTo(w, r, &n, maxImport); err != nil {
				return err
			}
			job, err := b.Add(r.Context(), &n, Actor(r.Context()))
			return answer(w, http.StatusCreated, job, err)
		},
		// It answers when the version is above that after which is asked, or when
		// the time to wait is over: a page follows the progress by asking again.
		"GET " + path + "/{id}": func(w http.ResponseWriter, r *http.Request) error {
			after, errAfter := number(r, "after")
			seconds, errWait := number(r, "wait")
			if err := errors.Join(errAfter, errWait); err != nil {
				return err
			}
			wait := min(time.Duration(min(seconds, 1<<20))*time.Second, maxImportWait)
			job, err := b.Await(r.Context(), r.PathValue("id"), after, wait)
			return answer(w, http.StatusOK, job, err)
		},
		"DELETE " + path + "/{id}": func(w http.ResponseWriter, r *http.Request) error {
			if err := b.Remove(r.Context(), r.PathValue("id"), Actor(r.Context())); err != nil {
				return explain(err)
			}
			w.WriteHeader(http.StatusNoContent)
			return nil
		},
		"GET " + path + "/{id}/report": func(w http.ResponseWriter, r *http.Request) error {
			person, err := number(r, "person")
			if err != nil {
				return err
			}
			report, err := b.Report(r.PathValue("id"), int(min(person, importer.MaxPeople)))
			return answer(w, http.StatusOK, report, err)
		},
		"POST " + path + "/{id}/resume": func(w http.ResponseWriter, r *http.Request) error {
			var ask ResumeJob
			if err := readUpTo(w, r, &ask, maxImport); err != nil {
				return err
			}
			job, err := b.Resume(r.Context(), r.PathValue("id"), ask.People, ask.Secret, Actor(r.Context()))
			return answer(w, http.StatusOK, job, err)
		},
		"POST " + path + "/{id}/pause":  jobAct(b.Pause, explain),
		"POST " + path + "/{id}/cancel": jobAct(b.Cancel, explain),
	}
}

// jobAct answers by what one act makes of a move.
func jobAct[J any](act func(ctx context.Context, id, by string) (J, error), explain func(error) error) func(http.ResponseWriter, *http.Request) error {
	return func(w http.ResponseWriter, r *http.Request) error {
		job, err := act(r.Context(), r.PathValue("id"), Actor(r.Context()))
		if err != nil {
			return explain(err)
		}

		return writeJSON(w, http.StatusOK, job)
	}
}
