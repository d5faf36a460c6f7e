/** Reads files of /proc that the kernel generates while they are read. */
import { closeSync, openSync, readSync } from 'node:fs';
import { setImmediate } from 'node:timers/promises';

/** Each call reads one page, and a long file takes many calls. One turn of the event loop per call would take most of the time. */
const sliceMs = 5;
const pieceBytes = 64 * 1024;

/**
 * Calls onPiece with the file's text (ASCII) in pieces that may end anywhere. The event loop gets its turn every 5 ms, between two
 * pages. Throws what open and read throw, and what onPiece throws.
 */
export async function readProcFile(path: string, onPiece: (piece: string) => void): Promise<void> {
  const file = openSync(path, 'r');
  try {
    const piece = Buffer.alloc(pieceBytes);
    for (let sliceStart = performance.now(); ; ) {
      const length = readSync(file, piece);
      if (length === 0) return;
      onPiece(piece.toString('latin1', 0, length));
      if (performance.now() - sliceStart < sliceMs) continue;
      await setImmediate();
      sliceStart = performance.now();
    }
  } finally {
    closeSync(file);
  }
}
