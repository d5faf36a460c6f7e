/** Text files and folders of them: reading, and hearing that they may have changed. */
import { errorCode } from '../model/error-message';
import { constants, readFileSync } from 'node:fs';
import type { Stats } from 'node:fs';
import type { FSWatcher } from 'node:fs';
import { watch } from 'node:fs';
import { open, readdir, readFile, readlink, realpath, stat, writeFile } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { decodeText } from './text-encoding';

export interface TextFile {
  readonly path: string;
  readonly text: string;
}

export interface TextFiles {
  /** In the order of the paths, those of a folder sorted by name. */
  readonly files: readonly TextFile[];
  /** What could not be read, and why (`ENOENT`, `EACCES`, or in words). */
  readonly failures: readonly { readonly path: string; readonly code: string }[];
}

export async function readTextFile(path: string): Promise<string> {
  return decodeText(await readFile(path), path);
}

/** Made anew, or written over. */
export function writeTextFile(path: string, text: string): Promise<void> {
  return writeFile(path, text);
}

export async function readStandardInput(): Promise<string> {
  return decodeText(await buffer(process.stdin), 'standard input');
}

/** Names with a leading dot are hidden files, and the inner folders of a ConfigMap volume. */
async function visibleNames(folder: string): Promise<string[]> {
  return (await readdir(folder)).filter((name) => !name.startsWith('.')).sort();
}

interface Walk {
  /** Folders met, by their real path: links may lead back. */
  readonly folders: Map<string, string>;
  readonly onFailure: (path: string, error: unknown) => void;
}

/** Every file at or below the path. Links are followed; what is no folder, or is not there, counts as a file. */
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

/** What a folder may hold besides files and folders. */
function specialKind(found: Stats): string | undefined {
  if (found.isFIFO()) return 'a named pipe';
  if (found.isSocket()) return 'a socket';
  return found.isCharacterDevice() || found.isBlockDevice() ? 'a device' : undefined;
}

/** A pipe that somebody names is meant to be waited for; one that lies in a folder would hold up all the others. */
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

/** Reads the files, and in folders, at any depth, those whose name ends in one of `endings`. Never throws. */
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

/** The folders in which something happens when what is at the path changes: links on the way have theirs. */
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

/** Nothing more for so long: whoever writes has done. One who does not stop is read in between. */
const quietMs = 50;
const longestMs = 1000;
/** Not every file system tells of changes, and the kernel's watches may be used up. */
const pollMs = 10_000;

/**
 * Calls back soon after the files or folders at these paths may have changed: written, replaced by another of the name
 * (editors), or reached by another link (ConfigMap volumes). Also calls when nothing changed. Returns what ends it.
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
    // Watched anew each time: the folder of that name may be another one by now.
    for (const folder of watchers.keys()) drop(folder);
    for (const folder of wanted) {
      try {
        watchers.set(
          folder,
          watch(folder, hear).on('error', () => drop(folder)),
        );
      } catch {
        // The poll is left.
      }
    }
  };
  const poll = setInterval(hear, pollMs);
  // What changed before the watches were there is found by the first call.
  hear();
  return () => {
    isStopped = true;
    clearInterval(poll);
    clearTimeout(pending?.timer);
    for (const folder of watchers.keys()) drop(folder);
  };
}

/** For what has to be read in the middle of something: credentials at a request. */
export function readTextFileSync(path: string): string {
  return decodeText(readFileSync(path), path);
}
