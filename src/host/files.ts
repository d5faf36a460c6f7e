/** Reads text files and folders of text files, and reports when they may have changed. */
import { constants, type FSWatcher, readFileSync, type Stats, watch } from 'node:fs';
import { open, readdir, readFile, readlink, realpath, stat, writeFile } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { errorCode } from '../model/error-message';
import { decodeText } from './text-encoding';

export interface TextFile {
  readonly path: string;
  readonly text: string;
}

export interface TextFiles {
  /** In the order of the paths; the files of a folder are sorted by name. */
  readonly files: readonly TextFile[];
  /** What could not be read, and why (`ENOENT`, `EACCES`, or in words). */
  readonly failures: readonly { readonly path: string; readonly code: string }[];
}

export async function readTextFile(path: string): Promise<string> {
  return decodeText(await readFile(path), path);
}

/** Creates the file, or overwrites it. */
export function writeTextFile(path: string, text: string): Promise<void> {
  return writeFile(path, text);
}

export async function readStandardInput(): Promise<string> {
  return decodeText(await buffer(process.stdin), 'standard input');
}

/** Leaves out names with a leading dot: hidden files, and the inner folders of a ConfigMap volume. */
async function visibleNames(folder: string): Promise<string[]> {
  return (await readdir(folder)).filter((name) => !name.startsWith('.')).sort();
}

interface Walk {
  /** The folders that were visited, by their real path, since links may lead back to one. */
  readonly folders: Map<string, string>;
  readonly onFailure: (path: string, error: unknown) => void;
}

/** Yields every file at or below the path. Follows links. Anything that is not a folder counts as a file, even if it does not exist. */
async function* walk(path: string, met: Walk): AsyncGenerator<string> {
  const isFolder = await stat(path).then(
    (found) => found.isDirectory(),
    () => false,
  );
  if (!isFolder) {
    yield path;
    return;
  }
  try {
    const real = await realpath(path);
    if (met.folders.has(real)) return;
    met.folders.set(real, path);
    for (const name of await visibleNames(path)) yield* walk(join(path, name), met);
  } catch (error) {
    met.onFailure(path, error);
  }
}

/** Names the kind of something that is neither a file nor a folder. */
function specialKind(found: Stats): string | undefined {
  if (found.isFIFO()) return 'a named pipe';
  if (found.isSocket()) return 'a socket';
  return found.isCharacterDevice() || found.isBlockDevice() ? 'a device' : undefined;
}

/** Refuses pipes, sockets and devices: a pipe in a folder would hold up all other files. A pipe that is named itself is waited for. */
async function readFolderFile(path: string): Promise<string> {
  const special = specialKind(await stat(path));
  if (special !== undefined) throw Object.assign(new Error(`${path} is ${special}`), { code: `it is ${special}` });
  const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
  try {
    return decodeText(await file.readFile(), path);
  } finally {
    await file.close();
  }
}

/** Reads the files and, in folders at any depth, those whose name ends in one of `endings`. Never throws. */
export async function readTextFiles(paths: readonly string[], endings: readonly string[]): Promise<TextFiles> {
  const files: TextFile[] = [];
  const failures: { path: string; code: string }[] = [];
  const onFailure = (path: string, error: unknown): void => {
    failures.push({ path, code: errorCode(error) || String(error) });
  };
  for (const path of paths) {
    for await (const found of walk(path, { folders: new Map(), onFailure })) {
      if (found !== path && !endings.some((ending) => found.endsWith(ending))) continue;
      try {
        const text = await (found === path ? readTextFile(found) : readFolderFile(found));
        files.push({ path: found, text });
      } catch (error) {
        onFailure(found, error);
      }
    }
  }
  return { files, failures };
}

/** The folders to watch for changes of what is at the path, including those of the links on the way to it. */
async function foldersToWatch(path: string): Promise<Set<string>> {
  const folders = new Set<string>();
  let step = resolve(path);
  for (let links = 0; links < 40; links++) {
    folders.add(dirname(step));
    const target = await readlink(step).catch(() => undefined);
    if (target === undefined) break;
    step = resolve(dirname(step), target);
  }
  const below: Walk = { folders: new Map(), onFailure: () => undefined };
  const files = walk(path, below);
  while ((await files.next()).done !== true);
  for (const folder of below.folders.values()) folders.add(resolve(folder));
  return folders;
}

/** After this time without a change the writer has probably finished. If changes go on for longestMs, the files are read meanwhile. */
const quietMs = 50;
const longestMs = 1000;
/** Not every file system reports changes, and the kernel's watches may be used up. */
const pollMs = 10_000;

/**
 * Calls back soon after the files or folders at these paths may have changed: written, replaced by another one of the same name
 * (editors), or reached by another link (ConfigMap volumes). May also call when nothing changed. Returns the function that ends it.
 */
export function watchPaths(paths: readonly string[], onChange: () => void): () => void {
  const watchers = new Map<string, FSWatcher>();
  let pending: { readonly timer: NodeJS.Timeout; readonly since: number } | undefined;
  let isStopped = false;

  const settle = (): void => {
    pending = undefined;
    void refresh().then(() => {
      if (!isStopped) onChange();
    });
  };
  const hear = (): void => {
    if (isStopped) return;
    const now = performance.now();
    const since = pending?.since ?? now;
    clearTimeout(pending?.timer);
    pending = { timer: setTimeout(settle, Math.min(quietMs, since + longestMs - now)), since };
  };
  const drop = (folder: string): void => {
    watchers.get(folder)?.close();
    watchers.delete(folder);
  };
  const refresh = async (): Promise<void> => {
    const wanted = new Set((await Promise.all(paths.map(foldersToWatch))).flatMap((folders) => [...folders]));
    if (isStopped) return;
    // All watches are renewed each time: the folder of that name may be another one by now.
    for (const folder of watchers.keys()) drop(folder);
    for (const folder of wanted) {
      try {
        watchers.set(
          folder,
          watch(folder, hear).on('error', () => drop(folder)),
        );
      } catch {
        // The poll still finds changes.
      }
    }
  };
  const poll = setInterval(hear, pollMs);
  // The first call finds what changed before the watches were there.
  hear();
  return () => {
    isStopped = true;
    clearInterval(poll);
    clearTimeout(pending?.timer);
    for (const folder of watchers.keys()) drop(folder);
  };
}

/** For files that must be read synchronously: credentials of a request. */
export function readTextFileSync(path: string): string {
  return decodeText(readFileSync(path), path);
}
