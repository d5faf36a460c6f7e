import { isOlder } from './known-objects';
import { oneLine } from './text-bounds';
import { WentBackError } from './watch-end';

/** The latest resource version that the server has told: the next watch begins there. */
export class LatestVersion {
  #version = '';

  /** '' until a list has said. */
  get value(): string {
    return this.#version;
  }

  /** The version of a list counts, older or not. Returns whether it is older than what was known. */
  setByList(version: string): boolean {
    const wentBack = isOlder(version, this.#version);
    this.#version = version;
    return wentBack;
  }

  /** Events may come late: one that is older says nothing. */
  setByEvent(version: string): void {
    if (version !== '' && !isOlder(version, this.#version)) this.#version = version;
  }

  /** Throws WentBackError: a bookmark is never late. */
  setByBookmark(version: string): void {
    if (isOlder(version, this.#version))
      throw new WentBackError(`versions went back from ${this.#version} to ${oneLine(version, 40)}`);
    this.setByEvent(version);
  }
}
