variable "region" {
  type        = string
  description = "The region of the instances, such as cn-hangzhou."
}

variable "account_id" {
  type        = string
  description = "The account's number, as the console shows it."

  validation {
    condition     = can(regex("^[0-9]+$", var.account_id))
    error_message = "The account is a number."
  }
}

variable "tag_key" {
  type        = string
  description = "The key of the tag that every member and each of its disks carries."
}

variable "tag_value" {
  type        = string
  description = "The value of that tag."
}

variable "instance_ids" {
  type        = set(string)
  description = "The members. Tag them and their disks yourself."
}

variable "role_name" {
  type        = string
  default     = "snap-self-fleet"
  description = "The name of the role and of its policy."
}

variable "ram_folder" {
  type        = string
  default     = "../ram"
  description = "Where trust.json and snap-self-fleet.json lie, from here."
}

variable "oos_folder" {
  type        = string
  default     = null
  description = "Where snap-self-rollback.yml lies, from here (../oos); null keeps no template in the account."
}
