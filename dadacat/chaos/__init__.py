"""Break everything, on purpose, and account for every text: `dadacat chaos --minutes N --seed S`."""
