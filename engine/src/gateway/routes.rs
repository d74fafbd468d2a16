//! Maps paths to functions.

use std::cell::RefCell;
use std::rc::Rc;

/// The prefix below which every function is reachable by its name.
const FUNCTIONS: &str = "/function/";

/// The destination of a request. Every part is a slice of the request's path or of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Target<'a> {
    /// The function.
    pub name: &'a str,
    /// The part of the path that led to it.
    pub prefix: &'a str,
    /// The rest of the path; at least "/".
    pub path: &'a str,
}

/// The routes of functions, beside `/function/NAME`.
#[derive(Clone, Debug, Default)]
pub struct Routes(Vec<(String, String)>);

impl Routes {
    /// Creates the table from pairs of a path, without a slash at its end, and the name of a
    /// function.
    pub fn new(routes: impl IntoIterator<Item = (String, String)>) -> Routes {
        let mut routes: Vec<_> = routes.into_iter().collect();
        // Sorted by length, so that the first route that matches is the longest one.
        routes.sort_by_key(|(route, _)| std::cmp::Reverse(route.len()));
        Routes(routes)
    }

    /// Returns the target of a path, if there is one.
    pub(super) fn find<'a>(&'a self, path: &'a str) -> Option<Target<'a>> {
        if let Some(below) = path.strip_prefix(FUNCTIONS) {
            let name = below.split('/').next()?;
            return Some(target(name, path, FUNCTIONS.len() + name.len()));
        }
        let fits = |route: &str| {
            path.strip_prefix(route).is_some_and(|r| r.is_empty() || r.starts_with('/'))
        };
        let (route, name) = self.0.iter().find(|(route, _)| fits(route))?;
        Some(target(name, path, route.len()))
    }
}

/// The current routes. A request keeps the routes that it began with.
#[derive(Clone, Debug, Default)]
pub struct SharedRoutes(Rc<RefCell<Rc<Routes>>>);

impl SharedRoutes {
    /// Replaces the routes.
    pub fn set(&self, routes: Routes) {
        *self.0.borrow_mut() = Rc::new(routes);
    }

    pub(super) fn now(&self) -> Rc<Routes> {
        self.0.borrow().clone()
    }
}

fn target<'a>(name: &'a str, path: &'a str, prefix_len: usize) -> Target<'a> {
    let (prefix, rest) = path.split_at(prefix_len);
    Target { name, prefix, path: if rest.is_empty() { "/" } else { rest } }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_route_that_ends_at_a_slash_wins() {
        let routes = Routes::new(
            [("/shop", "Shop"), ("", "Site"), ("/shop/cart", "Cart")]
                .map(|(r, n)| (r.into(), n.into())),
        );
        for (path, name, prefix, rest) in [
            ("/", "Site", "", "/"),
            ("/shopping", "Site", "", "/shopping"),
            ("/shop", "Shop", "/shop", "/"),
            ("/shop/", "Shop", "/shop", "/"),
            ("/shop//cart", "Shop", "/shop", "//cart"),
            ("/shop/cart", "Cart", "/shop/cart", "/"),
            ("/shop/cart/a%2Fb", "Cart", "/shop/cart", "/a%2Fb"),
            ("/function/Foo", "Foo", "/function/Foo", "/"),
            ("/function/Foo/a", "Foo", "/function/Foo", "/a"),
            ("/function/", "", "/function/", "/"),
        ] {
            assert_eq!(routes.find(path), Some(Target { name, prefix, path: rest }), "{path}");
        }
        assert_eq!(Routes::default().find("/shop"), None);
        // A request for all of the server, as of OPTIONS.
        assert_eq!(Routes::new([("/shop".into(), "Shop".into())]).find("*"), None);
    }
}
