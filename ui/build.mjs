// Bundles the page into crates/api/assets under fixed names, so that `cargo build` needs no Node and a rebuild of
// unchanged sources changes no byte. `--watch` rebuilds on every change.
import { copyFileSync, mkdirSync, statSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { context } from "esbuild";

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const out = here("../crates/api/assets");
const SCRIPT_LIMIT_BYTES = 150_000;

mkdirSync(out, { recursive: true });
const bundle = await context({
  absWorkingDir: here("."),
  entryPoints: { app: "src/main.tsx" },
  outdir: out,
  bundle: true,
  minify: true,
  format: "esm",
  target: ["es2022"],
  jsx: "automatic",
  jsxImportSource: "preact",
  legalComments: "none",
  charset: "utf8",
  logLevel: "warning",
});
copyFileSync(here("src/index.html"), `${out}/index.html`);
if (process.argv.includes("--watch")) {
  await bundle.watch();
} else {
  await bundle.rebuild();
  await bundle.dispose();
  const { size } = statSync(`${out}/app.js`);
  console.log(`app.js ${size} bytes of ${SCRIPT_LIMIT_BYTES}`);
  if (size > SCRIPT_LIMIT_BYTES) process.exit(1);
}
