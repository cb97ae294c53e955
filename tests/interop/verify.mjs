// What c2pa-ts says of seals: lines ["FILE", "SEAL"] in, lines of JSON out.
// "SEAL" is left out for a PNG or JPEG with the seal inside.
import { readFile } from 'node:fs/promises';
import { webcrypto } from 'node:crypto';
import { createInterface } from 'node:readline';

globalThis.crypto ??= webcrypto; // Node 18 has it under this name only
const { JPEG, PNG } = await import('@trustnxt/c2pa-ts/asset');
const { SuperBox } = await import('@trustnxt/c2pa-ts/jumbf');
const { ManifestStore, ValidationResult } = await import('@trustnxt/c2pa-ts/manifest');

// c2pa-ts knows no sidecars: this is a file of any type whose manifest is elsewhere.
class WithSidecar {
    mimeType = 'application/octet-stream';
    constructor(data, seal) {
        this.data = data;
        this.seal = seal;
    }
    getDataLength() {
        return this.data.length;
    }
    async getDataRange(start = 0, length = this.data.length - start) {
        return this.data.subarray(start, start + length);
    }
    getManifestJUMBF() {
        return this.seal;
    }
    getHashExclusionRange() {
        return { start: 0, length: 0 };
    }
    dumpInfo() {
        return '';
    }
}

async function verdict(names) {
    const [data, seal] = await Promise.all(names.map(name => readFile(name)));
    const asset = seal ? new WithSidecar(data, seal) : PNG.canRead(data) ? new PNG(data) : new JPEG(data);
    const store = asset.getManifestJUMBF();
    if (store === undefined) throw new Error('no manifest');
    return ManifestStore.read(SuperBox.fromBuffer(store)).validate(asset);
}

for await (const line of createInterface({ input: process.stdin })) {
    const result = await verdict(JSON.parse(line)).catch(error => ValidationResult.fromError(error));
    const failures = result.statusEntries.filter(entry => !entry.success).map(entry => entry.code);
    const passed = result.statusEntries.filter(entry => entry.success).map(entry => entry.code);
    console.log(JSON.stringify({ valid: result.isValid, failures, passed }));
}
