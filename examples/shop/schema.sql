-- The tables of the shop in PostgreSQL. Prices are in cents.

CREATE TABLE products (
    id    text PRIMARY KEY,
    name  text NOT NULL,
    price integer NOT NULL CHECK (price > 0),
    stock integer NOT NULL CHECK (stock >= 0),
    tags  text[] NOT NULL
);

CREATE TABLE orders (
    id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    cart     text NOT NULL UNIQUE, -- a cart becomes one order, however often it is checked out
    customer text NOT NULL,
    total    integer NOT NULL
);

CREATE TABLE order_items (
    order_id bigint NOT NULL REFERENCES orders,
    product  text NOT NULL REFERENCES products,
    quantity integer NOT NULL CHECK (quantity > 0),
    PRIMARY KEY (order_id, product)
);

INSERT INTO products (id, name, price, stock, tags) VALUES
    ('lamp',   'Desk lamp',        3900,   1, '{desk,light}'),
    ('mug',    'Mug',              1200, 100, '{kitchen,coffee}'),
    ('beans',  'Coffee beans',     1450, 100, '{kitchen,coffee,food}'),
    ('teapot', 'Teapot',           2700, 100, '{kitchen,tea}'),
    ('pen',    'Fountain pen',     4500, 100, '{desk,paper}'),
    ('paper',  'Writing paper',     800, 100, '{desk,paper}'),
    ('candle', 'Beeswax candle',    950, 100, '{light}');
