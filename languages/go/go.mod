module github.com/nightcore/nightcore/languages/go

go 1.24
