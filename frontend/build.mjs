// Builds everything a browser loads into src/funmagic/web/static/dist, named by content:
// scripts and styles by esbuild and Tailwind, pictures and fonts as they are, icons as JSON for
// the templates, each text file also as .br and .gz. manifest.json maps plain names to built ones.
import { createHash } from "node:crypto";
import { cpSync, existsSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { basename, dirname, extname, join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";
import * as esbuild from "esbuild";
import { compile } from "tailwindcss";
import { ownFolder, takePlace } from "./place.mjs";

const here = dirname(fileURLToPath(import.meta.url));
const source = resolve(here, "../src/funmagic");
const web = join(source, "web");
const built = join(web, "static/dist");
const own = ownFolder(built);
const dist = join(own, "next"); // takes the place of the last build when it is whole
const scratch = join(own, "scratch");
const modules = join(here, "node_modules");
const manifest = {};
const BRANDS = ["apple", "facebook", "google"]; // whose marks stand on buttons, by Simple Icons' names

try {
  mkdirSync(dist);
  mkdirSync(scratch);
  await buildScripts();
  await buildStyles();
  copyPictures();
  writeFileSync(join(dist, "icons.json"), JSON.stringify(collectIcons()));
  writeFileSync(join(dist, "manifest.json"), JSON.stringify(manifest, null, 1));
  compress();
  takePlace(dist, built);
} finally {
  rmSync(own, { recursive: true, force: true });
}

// Two things of the 3D viewer our policy forbids: a style sheet drawn into the page, which as a
// constructed sheet of its shadow root may stay; and WebAssembly, started at once by a decoder for
// compressed models, which we do not have. A slow machine is nothing to warn of, either.
function viewerWithinPolicy() {
  return {
    name: "viewer-within-policy",
    setup(build) {
      build.onLoad({ filter: /three[\\/]examples[\\/]jsm[\\/]libs[\\/]meshopt_decoder\.module\.js$/ }, () => ({
        contents: "export const MeshoptDecoder = { supported: false };",
      }));
      build.onLoad({ filter: /@google[\\/]model-viewer[\\/]lib[\\/]model-viewer-base\.js$/ }, ({ path }) => ({
        contents: readFileSync(path, "utf8").replace(/console\.warn\('rAF timed out in updateSource'\);/, ""),
      }));
      build.onLoad({ filter: /@google[\\/]model-viewer[\\/]lib[\\/]template\.js$/ }, ({ path }) => {
        const text = readFileSync(path, "utf8");
        const style = /<style>([^]*?)<\/style>/.exec(text);
        const drawing = "render(templateResult, shadowRoot);";
        if (!style || !text.includes(drawing)) throw new Error("The 3D viewer draws its styles in another way now.");
        const contents = text
          .replace(style[0], "")
          .replace(drawing, `${drawing} shadowRoot.adoptedStyleSheets = [sheet];`);
        return { contents: `const sheet = new CSSStyleSheet(); sheet.replaceSync(${JSON.stringify(style[1])});\n${contents}` };
      });
    },
  };
}

async function buildScripts() {
  const shared = {
    bundle: true,
    minify: true,
    target: ["es2022", "chrome111", "firefox115", "safari16.4"],
    outdir: dist,
    entryNames: "[name]-[hash]",
    chunkNames: "chunk-[hash]",
    metafile: true,
    legalComments: "none",
    logLevel: "warning",
    alias: { react: join(here, "src/shims/react.ts") },
    plugins: [viewerWithinPolicy()],
  };
  // Runs before the first paint, so it is a classic script of its own.
  await remember(esbuild.build({ ...shared, format: "iife", entryPoints: [join(here, "src/theme.ts")] }));
  await remember(
    esbuild.build({
      ...shared,
      format: "esm",
      splitting: true,
      entryPoints: ["app.ts", "tool.ts", "account.ts", "dashboard.ts", "bookmarks.ts", "shop.ts"].map((name) => join(here, "src", name)).filter(existsSync),
    }),
  );
}

async function buildStyles() {
  const input = join(here, "src/styles/app.css");
  const output = join(scratch, "app.css");
  const compiler = await compile(readFileSync(input, "utf8"), { base: dirname(input), loadStylesheet });
  writeFileSync(output, compiler.build([...classNames()]));
  for (const part of ["latin", "latin-ext", "vietnamese"]) {
    const font = join(modules, `@fontsource-variable/inter/files/inter-${part}-wght-normal.woff2`);
    cpSync(font, join(scratch, `inter-${part}.woff2`));
  }
  await remember(
    esbuild.build({
      entryPoints: [output],
      bundle: true,
      minify: true,
      outdir: dist,
      entryNames: "[name]-[hash]",
      assetNames: "[name]-[hash]",
      loader: { ".woff2": "file" },
      metafile: true,
      logLevel: "warning",
    }),
  );
}

// Tailwind's compiler without its native scanner: what is built must build wherever Node runs.
async function loadStylesheet(id, base) {
  const path = id.startsWith(".") ? resolve(base, id) : join(modules, id);
  return { path, base: dirname(path), content: readFileSync(path, "utf8") };
}

// Every word of templates and scripts that may be a class name; Tailwind ignores those that are not.
function classNames() {
  const words = new Set();
  for (const path of [...pageSources(), ...files(join(here, "src"))]) {
    if (!/\.(html|ts)$/.test(path)) continue;
    for (const word of readFileSync(path, "utf8").split(/[\s"'`{}<>=]+/)) words.add(word);
  }
  return words;
}

async function remember(building) {
  const { metafile } = await building;
  for (const [path, output] of Object.entries(metafile.outputs)) {
    const name = basename(path);
    const source = output.entryPoint ?? Object.keys(output.inputs)[0];
    if (output.entryPoint || extname(path) === ".woff2") {
      manifest[basename(source).replace(/\.ts$/, ".js")] = name;
    }
    if (output.entryPoint && output.imports.length > 0) {
      manifest[`${basename(source).replace(/\.ts$/, ".js")}:imports`] = output.imports
        .filter((item) => item.kind === "import-statement")
        .map((item) => basename(item.path));
    }
  }
}

function copyPictures() {
  const root = join(here, "images");
  for (const path of files(root)) {
    const extension = extname(path);
    if (extension === ".md") continue;
    const bytes = readFileSync(path);
    const hash = createHash("sha256").update(bytes).digest("hex").slice(0, 8).toUpperCase();
    const plain = relative(root, path).replaceAll("\\", "/");
    const built = `${plain.slice(0, -extension.length).replaceAll("/", "-")}-${hash}${extension}`;
    writeFileSync(join(dist, built), bytes);
    manifest[plain] = built;
  }
}

// Every quoted word in templates and page code that is the name of an icon. A word that only happens
// to be one costs a line in a file no browser loads.
function collectIcons() {
  const names = new Set();
  for (const path of pageSources()) {
    const text = readFileSync(path, "utf8");
    for (const [, name] of text.matchAll(/"([a-z0-9-]+)"/g)) {
      if (existsSync(iconFile(name))) names.add(name);
    }
  }
  const icons = {};
  for (const name of [...names].sort()) icons[name] = insideOf(iconFile(name));
  for (const name of BRANDS) {
    const mark = insideOf(join(modules, `simple-icons/icons/${name}.svg`));
    icons[`brand-${name}`] = mark.replace(/<title>.*?<\/title>/, "");
  }
  return icons;
}

function insideOf(path) {
  const svg = readFileSync(path, "utf8");
  return svg.replace(/^[\s\S]*?<svg[^>]*>/, "").replace(/<\/svg>\s*$/, "").replace(/\s*\n\s*/g, "").trim();
}

// Templates and page code: of the public pages, of the dashboard, and of tools with a page of their own.
function pageSources() {
  const folders = ["web", "dashboard", "tools"].map((name) => join(source, name)).filter(existsSync);
  return folders.flatMap(files).filter((path) => /\.(html|py)$/.test(path));
}

function iconFile(name) {
  return join(modules, `lucide-static/icons/${name}.svg`);
}

function compress() {
  for (const path of files(dist)) {
    if (!/\.(js|css|svg)$/.test(path)) continue;
    const bytes = readFileSync(path);
    writeFileSync(`${path}.br`, brotliCompressSync(bytes, { params: { [constants.BROTLI_PARAM_QUALITY]: 11 } }));
    writeFileSync(`${path}.gz`, gzipSync(bytes, { level: 9 }));
  }
}

function files(root) {
  return readdirSync(root, { withFileTypes: true })
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .flatMap((entry) => (entry.isDirectory() ? (entry.name.startsWith("dist") ? [] : files(join(root, entry.name))) : [join(root, entry.name)]));
}
