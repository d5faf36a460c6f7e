import { readTextFiles, type TextFile, type TextFiles, watchPaths } from '../../host/files';
import type { ClusterWarning } from '../../model/cluster';
import { UserError } from '../../model/user-error';
import type { ClusterSink, Source } from '../source';
import { type ManifestObject, parseManifests } from './parse-manifests';

export interface ManifestOptions {
  /** Files, and folders of *.yaml, *.yml and *.json files at any depth. */
  readonly paths: readonly string[];
  /** Texts that were read already (standard input), each with a name for messages as its path. They come after the files. */
  readonly texts?: readonly TextFile[];
  /** Whether to read the paths again when they change. */
  readonly watch: boolean;
}

interface ParsedFile {
  readonly text: string;
  readonly objects: readonly ManifestObject[];
}

type Warn = (warning: ClusterWarning) => void;

const endings = ['.yaml', '.yml', '.json'];

/**
 * Reports the cluster that manifests describe. When an object is in several files, the last one counts, in the order of the paths and,
 * within a folder, of the names.
 */
export class ManifestSource implements Source {
  #files: ReadonlyMap<string, ParsedFile> = new Map();
  #objects: ReadonlyMap<string, ManifestObject> = new Map();
  #sink: ClusterSink | undefined;
  /** Files that were parsed before there was a sink. */
  #opened: ReadonlyMap<string, ParsedFile> = new Map();
  /** The warnings about those files. */
  readonly #early: ClusterWarning[] = [];
  #unreadable: ReadonlySet<string> = new Set();
  #endWatch: (() => void) | undefined;
  #reading: Promise<void> = Promise.resolve();

  readonly #options: ManifestOptions;
  readonly #first: TextFiles;

  private constructor(options: ManifestOptions, first: TextFiles) {
    this.#options = options;
    this.#first = first;
  }

  /**
   * Throws UserError when one of the given paths cannot be read or a file cannot be parsed, because half a cluster is not usable. Other
   * files in a folder that cannot be read cause a warning. When a file becomes unusable later, that is a warning too, and the file's
   * previous contents stay.
   */
  static async open(options: ManifestOptions): Promise<ManifestSource> {
    const read = await readTextFiles(options.paths, endings);
    const failure = read.failures.find(({ path }) => options.paths.includes(path));
    if (failure !== undefined) {
      const why = failure.code === 'ENOENT' ? 'no such file or folder' : failure.code;
      throw new UserError(`cannot read manifests: ${failure.path}: ${why}`);
    }
    const source = new ManifestSource(options, read);
    source.#opened = source.#readFiles(read, (warning) => {
      if (warning.kind === 'bad-manifest') throw new UserError(`cannot read manifests: ${warning.message}`);
      source.#early.push(warning);
    });
    return source;
  }

  start(sink: ClusterSink): void {
    this.#sink = sink;
    for (const warning of this.#early.splice(0)) sink.warn(warning);
    this.#take(this.#first);
    this.#opened = new Map();
    sink.synced();
    if (!this.#options.watch) return;
    this.#endWatch = watchPaths(this.#options.paths, () => {
      this.#reading = this.#reading.then(async () => {
        this.#take(await readTextFiles(this.#options.paths, endings));
      });
    });
  }

  listNodeAddresses(): Promise<ReadonlyMap<string, string>> {
    const nodes = [...this.#objects.values()].flatMap(({ sets }) =>
      sets.flatMap((change) => (change.op === 'set' && change.object.kind === 'Node' ? change.object : [])),
    );
    return Promise.resolve(new Map(nodes.flatMap(({ name, addresses }) => addresses.map((each) => [each, name]))));
  }

  async stop(): Promise<void> {
    this.#endWatch?.();
    this.#sink = undefined;
    await this.#reading;
  }

  #take(read: TextFiles): void {
    const sink = this.#sink;
    if (sink === undefined) return;
    const warn: Warn = (warning) => sink.warn(warning);
    const before = this.#objects;
    const files = this.#readFiles(read, warn);
    this.#objects = this.#mergeFiles(files, warn);
    this.#files = files;
    const gone = [...before].filter(([id]) => !this.#objects.has(id)).map(([, { deletion }]) => deletion);
    const changed = [...this.#objects].filter(([id, object]) => before.get(id) !== object);
    const changes = [...gone, ...changed.flatMap(([, { sets }]) => sets)];
    if (changes.length > 0) sink.apply(changes);
  }

  /** The objects of a deleted file go with it. The objects of a file that exists but cannot be read stay. */
  #readFiles(read: TextFiles, warn: Warn): Map<string, ParsedFile> {
    const files = new Map<string, ParsedFile>();
    for (const file of [...read.files, ...(this.#options.texts ?? [])]) files.set(file.path, this.#parse(file, warn));
    for (const { path, code } of read.failures) {
      if (!this.#unreadable.has(path)) warn({ object: path, kind: 'unreadable', message: `cannot be read: ${code}` });
      if (code === 'ENOENT') continue;
      for (const [known, file] of this.#files) {
        if (known === path || known.startsWith(`${path}/`)) files.set(known, file);
      }
    }
    this.#unreadable = new Set(read.failures.map(({ path }) => path));
    return files;
  }

  /** Returns what the file says, or what it said before it had mistakes. Parses each text, and warns about it, only once. */
  #parse({ path, text }: TextFile, warn: Warn): ParsedFile {
    const known = this.#files.get(path) ?? this.#opened.get(path);
    if (known?.text === text) return known;
    const { errors, warnings, objects } = parseManifests(text, path);
    for (const message of errors) warn({ object: path, kind: 'bad-manifest', message });
    for (const warning of warnings) warn(warning);
    return { text, objects: errors.length > 0 ? (known?.objects ?? []) : objects };
  }

  #mergeFiles(files: ReadonlyMap<string, ParsedFile>, warn: Warn): Map<string, ManifestObject> {
    const objects = new Map<string, ManifestObject>();
    for (const [path, file] of files) {
      const isNew = this.#files.get(path) !== file;
      for (const object of file.objects) {
        if (isNew && objects.has(object.id)) {
          const message = `is defined more than once: the one in ${path} counts`;
          warn({ object: object.id, kind: 'duplicate', message });
        }
        objects.set(object.id, object);
      }
    }
    return objects;
  }
}
