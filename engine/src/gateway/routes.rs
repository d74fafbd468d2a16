//! Which function answers at which path.

use std::cell::RefCell;
use std::rc::Rc;

/// Below this path lie the functions, each at its name.
const FUNCTIONS: &str = "/function/";

/// Where a request goes: every part is a slice of its path, or of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Target<'a> {
    /// The function.
    pub name: &'a str,
    /// The part of the path that led to it.
    pub prefix: &'a str,
    /// What follows; at least "/".
    pub path: &'a str,
}

/// The paths that functions have beside `/function/NAME`.
#[derive(Clone, Debug, Default)]
pub struct Routes(Vec<(String, String)>);

impl Routes {
    /// Of pairs of a path, without a slash at its end, and the name of a function.
    pub fn new(routes: impl IntoIterator<Item = (String, String)>) -> Routes {
        let mut routes: Vec<_> = routes.into_iter().collect();
        // The longest that fits is the first that fits.
        routes.sort_by_key(|(route, _)| std::cmp::Reverse(route.len()));
        Routes(routes)
    }

    /// Where a path leads, if anywhere.
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

/// The paths as they are now: a request goes on with those that it began with.
#[derive(Clone, Debug, Default)]
pub struct SharedRoutes(Rc<RefCell<Rc<Routes>>>);

impl SharedRoutes {
    /// From now on these.
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
