// Catalog reads products from PostgreSQL: the requested ones, or all.
package main

import (
	"context"
	"encoding/json"
	"log"
	"os"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	nightcore "github.com/nightcore/nightcore/languages/go"
)

type product struct {
	ID    string   `json:"id"`
	Name  string   `json:"name"`
	Price int      `json:"price"`
	Stock int      `json:"stock"`
	Tags  []string `json:"tags"`
}

type catalog struct {
	db *pgxpool.Pool
}

func (c *catalog) products(ctx context.Context, req *nightcore.Request) ([]byte, error) {
	var wanted struct {
		IDs []string `json:"ids"`
	}
	if err := req.JSON(&wanted); err != nil {
		return nil, err
	}
	rows, err := c.db.Query(ctx,
		`SELECT id, name, price, stock, tags FROM products
		WHERE $1::text[] IS NULL OR id = ANY($1) ORDER BY id`, wanted.IDs)
	if err != nil {
		return nil, err
	}
	products, err := pgx.CollectRows(rows, pgx.RowToStructByPos[product])
	if err != nil {
		return nil, err
	}
	return json.Marshal(products)
}

func main() {
	db, err := pgxpool.New(context.Background(), os.Getenv("DATABASE_URL"))
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()
	c := &catalog{db}
	nightcore.Handle("Catalog", c.products)
	if err := nightcore.Serve(); err != nil {
		log.Print(err)
	}
}
