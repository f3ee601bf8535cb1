package rig

// Documents is the guest's directory with the documents, as in the repository, and the packages in its dist.
const Documents = "/root/ctkeeper"

// UpdatedMark begins a line that the guest logs: the path of a document and its new text in base64.
const UpdatedMark = "UPDATED "
