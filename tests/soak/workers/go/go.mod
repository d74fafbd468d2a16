module soak_worker

go 1.24

require github.com/nightcore/nightcore/languages/go v0.1.0
