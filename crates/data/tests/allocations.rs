//! A cell that is read again allocates nothing.

use data::{Buffer, Table};
use plan::DataFormat;

#[test]
fn reading_cells_allocates_nothing() {
    for (file, format) in [
        ("name,note\nada,\"x \"\"y\"\" z\"\nb,c\n", DataFormat::Csv),
        (
            "{\"name\": \"a\\n\", \"note\": [1, [2, {\"b\": [3]}]]}\n{\"name\": \"b\", \"note\": 1}\n",
            DataFormat::JsonLines,
        ),
    ] {
        let table = Table::open(file.as_bytes().into(), format).unwrap();
        let mut buffer = Buffer::default();
        let mut read_all = || (0..4).for_each(|i| assert!(table.cell(i / 2, i % 2, &mut buffer).is_some()));
        read_all();
        let allocated = allocation_counter::measure(|| (0..100).for_each(|_| read_all()));
        assert_eq!(allocated.count_total, 0);
    }
}
