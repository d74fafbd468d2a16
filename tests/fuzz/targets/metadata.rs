//! Parses metadata.

use nightcore_runtime::protocol::{Metadata, MetadataBuffer};

pub(super) fn target(data: &[u8]) {
    let Ok(metadata) = Metadata::parse(data) else { return };
    let mut again = MetadataBuffer::new();
    for (name, value) in metadata.iter() {
        assert!(metadata.get(name).is_some());
        again.push(name, value).expect("what was read can be written");
    }
    assert_eq!(again.as_bytes(), data);
}
