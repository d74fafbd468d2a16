module app

go 1.24

require (
	github.com/go-chi/chi/v5 v5.5.0
	github.com/nightcore/nightcore/languages/go v0.1.0
)
