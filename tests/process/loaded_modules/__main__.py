"""Write the expected lists again from what the processes load now."""

from tests.process.loaded_modules import PROCESSES, file_of, loaded_modules

for process in PROCESSES:
    file_of(process).write_text("".join(f"{name}\n" for name in loaded_modules(process)))
